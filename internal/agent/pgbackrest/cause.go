package pgbackrest

import (
	"fmt"
	"regexp"
	"strings"
)

// maximumCause bounds what is repeated of pgBackRest's own words.
const maximumCause = 300

// A symptom is how something that is wrong shows in what pgBackRest prints, and what to say about it. The first that is found
// counts.
type symptom struct {
	mark *regexp.Regexp

	// say is a format with the groups of the mark.
	say string
}

// storeCodes are the error codes of S3 and what to say about them.
func storeCodes() map[string]string {
	return map[string]string{
		"InvalidAccessKeyId":           "the store does not know the access key. Correct accessKeyID in the Secret of backupLocation",
		"SignatureDoesNotMatch":        "the store does not accept the secret key. Correct secretAccessKey in the Secret of backupLocation",
		"InvalidToken":                 "the store does not accept the session token. Renew the credentials in the Secret of backupLocation",
		"ExpiredToken":                 "the credentials have expired. Renew them in the Secret of backupLocation",
		"AccessDenied":                 "the store does not let these credentials in. Give them the right to list, read, write and delete objects below key in the bucket",
		"AllAccessDisabled":            "the store does not let anybody into the bucket. Look at the bucket's policy",
		"AccountProblem":               "the store has closed the account. Ask whoever runs it",
		"NoSuchBucket":                 "the bucket does not exist. Create it, or correct bucket in backupLocation",
		"PermanentRedirect":            "the bucket is in another region. Correct region in backupLocation",
		"AuthorizationHeaderMalformed": "the bucket is in another region. Correct region in backupLocation",
		"RequestTimeTooSkewed":         "the clocks of the store and of the instance's node differ by more than the store allows. Set the clock of the node right",
		"SlowDown":                     "the store asks to be left alone for a while. It is tried again; if this lasts, ask whoever runs it",
		"ServiceUnavailable":           "the store says that it is not available. It is tried again; if this lasts, ask whoever runs it",
		"InternalError":                "the store reports an error of its own. It is tried again; if this lasts, ask whoever runs it",
		"QuotaExceeded":                "the store is full. Give the bucket more room, or lower backupRetainDays",
		"StorageFull":                  "the store is full. Give it more room, or lower backupRetainDays",
	}
}

func symptoms() []symptom {
	mark := regexp.MustCompile
	return []symptom{
		{mark(`\[FileWriteError\] unable to write '([^']+)'`), "there is no room for %s. Make the DataDisk larger"},
		{mark(`'(metadata\.google\.internal)[^']*'`), "the instance has no identity of Google Cloud (%s does not answer). Name a Secret with a service account's key in gcsOptions.secretRef"},
		{mark(`unable to get address for '([^']+)'`), "the name %s cannot be resolved. Correct endpoint in backupLocation"},
		{mark(`unable to find hostname '([^']+)' in certificate`), "the store's certificate is not for the name %s. Correct endpoint in backupLocation to a name that is in the certificate, or have the certificate made for it"},
		{mark(`unable to verify certificate presented by '([^']+)': \[\d+\] ([^\n]+)`), "the certificate of %s is not trusted (%s). Put the certificate of the authority that signed it into caBundle, or renew it if it has expired"},
		{mark(`unable to set user-defined CA certificate location`), "the certificates to trust cannot be read. Correct caBundle, or the Secret of certRef"},
		{mark(`unable to connect to '([^']+)': \[\d+\] ([^\n]+)`), "%s does not answer (%s). Look whether the store runs, whether endpoint in backupLocation is right, and whether NetworkPolicies let the instances reach it"},
		{mark(`timeout connecting to '([^']+)'`), "%s does not answer in time. Look whether the store runs, whether endpoint in backupLocation is right, and whether NetworkPolicies let the instances reach it"},
		// Answers of this kind are tried again, and what was in the last one is not told.
		{mark(`\[(503)\] ([\w ]+)`), "the store asks to be left alone for a while (%s %s). It is tried again; if this lasts, ask whoever runs it"},
		{mark(`\[(5\d\d)\] ([\w ]+)`), "the store reports an error of its own (%s %s). It is tried again; if this lasts, look whether the store is full, and at its own log"},
		{mark(`unexpected eof while reading line\s+\[\w+\] on (?:\d+ retries|retry)|unexpected EOF reading HTTP content`), "the store ends connections before it has answered. It is tried again; if this lasts, look whether the store runs, and at what is between it and the instances"},
		{mark(`timeout after \d+ms waiting for (?:read from|write to) '([^']+)'`), "%s is too slow. Look how fast the store is, and the network to it"},
		{mark(`TLS error|unable to negotiate TLS|TLS syscall error`), "the store does not speak TLS as it should. Correct endpoint in backupLocation: it must be the port of https"},
		{mark(`WAL file '([^']+)' already exists in the [^\n]*archive with a different checksum`), "the repository has another segment %s: another database archives there too. Give one of them another key in backupLocation"},
		{mark(`expected protocol|greeting version|expected value '[^']*' for greeting key 'version'`), "the instances run another version of pgBackRest than this. Try again once the rolling update is complete"},
		{mark(`error restoring '([^']+)'[^\n]*: actual checksum`), "the file %s is not what was backed up. Look for what has changed the objects in the store"},
		{mark(`unable to load backup manifest`), "the backup's list of files cannot be read. Look for what has changed or removed objects in the store"},
		{mark(`is or was the repo encrypted|key/value found outside of section|ini section should end with`), "the repository cannot be decrypted. Its passphrase is another one, or it has none: put the right one back into the Secret of encryption"},
		{mark(`unable to find primary cluster`), "no instance is the primary. It is tried again"},
		{mark(`unable to find standby cluster|unable to find standby`), "no standby runs that could be read"},
		{mark(`has a stanza-create been performed`), "the repository is not there any more: somebody has removed it. If that was meant, delete the BackupPlan and create it again; otherwise put it back"},
		{mark(`HTTP request failed with (403 \([^)]*\))`), "the store does not let these credentials in (%s). Give them the right to list, read, write and delete objects below key in the bucket, and check that the bucket is yours"},
		{mark(`HTTP request failed with (\d+ \([^)]*\))`), "the store refuses a request (%s). Look at the store's own log for the reason"},
		{mark(`unable to acquire lock`), "another command of pgBackRest's is running. It is tried again"},
		{mark(`time is up`), "the store did not answer in time. Look whether it runs, and how fast it is"},
	}
}

// Cause says what is wrong, in words, and what to do next: half a sentence without its end.
func Cause(output string) string {
	if found := regexp.MustCompile(`<Code>(\w+)</Code>`).FindStringSubmatch(output); found != nil {
		if say, known := storeCodes()[found[1]]; known {
			return say
		}
	}
	for _, s := range symptoms() {
		found := s.mark.FindStringSubmatch(output)
		if found == nil {
			continue
		}
		groups := make([]any, 0, len(found)-1)
		for _, group := range found[1:] {
			groups = append(groups, group)
		}
		return fmt.Sprintf(s.say, groups...)
	}
	return "pgBackRest says: " + firstError(output)
}

// firstError returns pgBackRest's first complaint, in one line.
func firstError(output string) string {
	line := strings.TrimSpace(output)
	if found := regexp.MustCompile(`(?s)ERROR: (\[\d+\]: .*?)(?:\n\s+HINT|\n\s*\*\*\*|$)`).FindStringSubmatch(output); found != nil {
		line = found[1]
	}
	line = strings.Join(strings.Fields(line), " ")
	if line == "" {
		return "nothing; it was killed, or its node has no memory left"
	}
	if len(line) > maximumCause {
		line = line[:maximumCause] + "..."
	}
	return line
}
