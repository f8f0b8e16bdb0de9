package pgbackrest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

func TestCause(t *testing.T) {
	cases := map[string]struct {
		reason string
		output string
		want   string
	}{
		"NoSuchBucket": {
			reason: "The store's own code says best what is wrong.",
			output: "ERROR: [101]: HTTP request failed with 404 (Not Found):\n*** Path/Query ***:\nGET /none\n*** Response Content ***:\n<Error><Code>NoSuchBucket</Code></Error>",
			want:   "the bucket does not exist. Create it, or correct bucket in backupLocation",
		},
		"UnknownCode": {
			reason: "Of a code that nobody thought of at least the request's outcome is told.",
			output: "ERROR: [101]: HTTP request failed with 418 (Teapot):\n<Error><Code>Teapot</Code></Error>",
			want:   "the store refuses a request (418 (Teapot)). Look at the store's own log for the reason",
		},
		"NotTrusted": {
			reason: "A certificate that is not trusted.",
			output: "ERROR: [095]: unable to verify certificate presented by 's3.example.org:443': [20] unable to get local issuer certificate",
			want:   "the certificate of s3.example.org:443 is not trusted (unable to get local issuer certificate). Put the certificate of the authority that signed it into caBundle, or renew it if it has expired",
		},
		"NotThere": {
			reason: "A store that is down.",
			output: "ERROR: [049]: unable to connect to 's3.example.org:443': [111] Connection refused",
			want:   "s3.example.org:443 does not answer (Connection refused). Look whether the store runs, whether endpoint in backupLocation is right, and whether NetworkPolicies let the instances reach it",
		},
		"Name": {
			reason: "A name that does not exist.",
			output: "ERROR: [049]: unable to get address for 's3.example.invalid': [-2] Name or service not known",
			want:   "the name s3.example.invalid cannot be resolved. Correct endpoint in backupLocation",
		},
		"OwnError": {
			reason: "A store that fails by itself, a full one for example: pgBackRest tries again, and leaves out what it was told.",
			output: "ERROR: [103]: archive-push command encountered error(s):\n       repo1: [ServiceError] [500] Internal Server Error\n           [ServiceError] on 8 retries from 754-10067ms: [500] Internal Server Error",
			want:   "the store reports an error of its own (500 Internal Server Error). It is tried again; if this lasts, look whether the store is full, and at its own log",
		},
		"OwnErrorWithHint": {
			reason: "That nothing can be read does not mean that nothing is there.",
			output: "ERROR: [103]: archive-push command encountered error(s):\n       repo1: [FileOpenError] unable to load info file '/x/archive.info' or '/x/archive.info.copy':\n       ServiceError: [500] Internal Server Error\n       HINT: has a stanza-create been performed?",
			want:   "the store reports an error of its own (500 Internal Server Error). It is tried again; if this lasts, look whether the store is full, and at its own log",
		},
		"Busy": {
			reason: "A store that has too much to do.",
			output: "ERROR: [101]: [503] Service Unavailable\n           [ServiceError] on 9 retries from 115-10001ms: [503] Service Unavailable",
			want:   "the store asks to be left alone for a while (503 Service Unavailable). It is tried again; if this lasts, ask whoever runs it",
		},
		"Cut": {
			reason: "Connections that end too early are not a matter of TLS, though some end while TLS begins.",
			output: "ERROR: [042]: unexpected eof while reading line\n           [FileReadError] on 7 retries from 494-10023ms: unexpected eof while reading line\n           [ServiceError] on retry at 865ms: TLS error [5:2147483752] no details available",
			want:   "the store ends connections before it has answered. It is tried again; if this lasts, look whether the store runs, and at what is between it and the instances",
		},
		"Slow": {
			reason: "A store that takes too little at a time.",
			output: "ERROR: [064]: timeout after 10000ms waiting for write to 'localhost:17443'\n           [FileWriteError] on 2 retries from 20137-30257ms: timeout after 10000ms waiting for write to 'localhost:17443'",
			want:   "localhost:17443 is too slow. Look how fast the store is, and the network to it",
		},
		"WrongPassphrase": {
			reason: "A passphrase that is another one.",
			output: "ERROR: [029]: unable to load info file '/x/archive.info'\n      HINT: is or was the repo encrypted?",
			want:   "the repository cannot be decrypted. Its passphrase is another one, or it has none: put the right one back into the Secret of encryption",
		},
		"Undecipherable": {
			reason: "One by which what is read still has a line, which is nonsense.",
			output: "ERROR: [029]: unable to load info file '/x/backup.info' or '/x/backup.info.copy':\n       FormatError: key/value found outside of section at line 1: \x19\xe2i\n" +
				"       HINT: backup.info cannot be opened and is required to perform a backup.\n       HINT: has a stanza-create been performed?",
			want: "the repository cannot be decrypted. Its passphrase is another one, or it has none: put the right one back into the Secret of encryption",
		},
		"Damaged": {
			reason: "A file that is another one than was backed up.",
			output: "ERROR: [026]: error restoring '/data/base/1/1259': actual checksum 'a' does not match expected checksum 'b'",
			want:   "the file /data/base/1/1259 is not what was backed up. Look for what has changed the objects in the store",
		},
		"Unforeseen": {
			reason: "What nobody thought of is told in pgBackRest's own words, without its hints.",
			output: "ERROR: [068]: archive_command 'x' must\n             contain pgbackrest\n    HINT: set it.",
			want:   "pgBackRest says: [068]: archive_command 'x' must contain pgbackrest",
		},
		"Silence": {
			reason: "That nothing was said is told, too.",
			output: "\n",
			want:   "pgBackRest says: nothing; it was killed, or its node has no memory left",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Cause(tc.output); got != tc.want {
				t.Errorf("\n%s\nCause(...):\n got %s\nwant %s", tc.reason, got, tc.want)
			}
		})
	}
	if got := Cause("ERROR: [001]: " + strings.Repeat("x", 10*maximumCause)); len(got) > 2*maximumCause {
		t.Errorf("Cause(...): %d characters are repeated", len(got))
	}
}

func TestParseInfo(t *testing.T) {
	cases := map[string]struct {
		reason string
		raw    string
		want   Stanza
		fails  bool
	}{
		"NoStanza": {
			reason: "A repository that does not know the database yet.",
			raw:    `[{"name":"db","status":{"code":1,"message":"missing stanza path"},"backup":[]}]`,
			want:   Stanza{},
		},
		"NoBackup": {
			reason: "One without a backup knows it.",
			raw:    `[{"name":"db","status":{"code":2,"message":"no valid backups"},"backup":[]}]`,
			want:   Stanza{There: true},
		},
		"Backups": {
			reason: "What pgBackRest prints of an incremental backup.",
			raw: `[{"name":"db","status":{"code":0,"message":"ok"},"backup":[{"annotation":{"uid":"1"},"archive":{"start":"A","stop":"B"},
				"error":false,"info":{"delta":11,"repository":{"delta":3,"size":5},"size":22},"label":"20260301-020000F_20260301-030000I",
				"lsn":{"start":"0/1","stop":"0/2"},"prior":"20260301-020000F","timestamp":{"start":1772334000,"stop":1772334060},"type":"incr"}]}]`,
			want: Stanza{There: true, Backups: []Backup{{
				Label: "20260301-020000F_20260301-030000I", Type: v1alpha1.BackupIncremental, Prior: "20260301-020000F",
				Start: time.Date(2026, time.March, 1, 3, 0, 0, 0, time.UTC), Stop: time.Date(2026, time.March, 1, 3, 1, 0, 0, time.UTC),
				LSN: [2]string{"0/1", "0/2"}, WAL: [2]string{"A", "B"}, Database: 22, Copied: 11, Repository: 3, RepositorySet: 5,
				Annotations: map[string]string{"uid": "1"},
			}}},
		},
		"Damaged": {
			reason: "What continues a backup that was found to be damaged cannot be restored either.",
			raw: `[{"name":"db","status":{"code":0,"message":"ok"},"archive":[{"max":"0000000100000000000000FF"},{"max":"000000010000000000000009"}],"backup":[
				{"label":"A"},{"label":"B","annotation":{"xdb-damaged":"2026-03-01T02:00:00Z"}},{"label":"C","prior":"B"},{"label":"D","prior":"A"}]}]`,
			want: Stanza{There: true, LastWAL: "000000010000000000000009", Backups: []Backup{
				{Label: "A", Start: time.Unix(0, 0).UTC(), Stop: time.Unix(0, 0).UTC()},
				{Label: "B", Start: time.Unix(0, 0).UTC(), Stop: time.Unix(0, 0).UTC(), Damaged: true, Annotations: map[string]string{AnnotationDamaged: "2026-03-01T02:00:00Z"}},
				{Label: "C", Prior: "B", Start: time.Unix(0, 0).UTC(), Stop: time.Unix(0, 0).UTC(), Damaged: true},
				{Label: "D", Prior: "A", Start: time.Unix(0, 0).UTC(), Stop: time.Unix(0, 0).UTC()},
			}},
		},
		"Broken": {
			reason: "A repository that cannot be read is not one without backups.",
			raw:    `[{"name":"db","status":{"code":99,"message":"other"},"backup":[]}]`,
			fails:  true,
		},
		"Nothing": {
			reason: "Neither is one of which nothing is said.",
			raw:    `[]`,
			fails:  true,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := parseInfo([]byte(tc.raw))
			if (err != nil) != tc.fails {
				t.Fatalf("\n%s\nparseInfo(...): got error %v", tc.reason, err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nparseInfo(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestInfoCause shows that it is told what is wrong with a repository, which pgBackRest says in another place than that something is.
func TestInfoCause(t *testing.T) {
	raw := "[{\"backup\":[],\"name\":\"db\",\"repo\":[{\"cipher\":\"aes-256-cbc\",\"status\":{\"code\":99,\"message\":\"[FormatError] unable to load info file\\n" +
		"FormatError: key/value found outside of section at line 1: \x19\xe2i^\x01\\nHINT: has a stanza-create been performed?\"}}],\"status\":{\"code\":99,\"message\":\"other\"}}]"
	_, err := parseInfo([]byte(raw))
	if err == nil || !strings.HasPrefix(err.Error(), "the repository cannot be decrypted") {
		t.Errorf("parseInfo(...): got error %v, want that the repository cannot be decrypted", err)
	}
}

func TestDamaged(t *testing.T) {
	cases := map[string]struct {
		reason  string
		failure Failure
		want    bool
	}{
		"Checksum":    {reason: "A file that has another checksum.", failure: Failure{Command: "restore", Status: 26, Output: "actual checksum 'a' does not match"}, want: true},
		"Format":      {reason: "A file that cannot be unpacked.", failure: Failure{Command: "restore", Status: 29, Output: "zst error: [18446744073709551596] Data corruption detected"}, want: true},
		"Missing":     {reason: "A file that somebody has removed.", failure: Failure{Command: "restore", Status: 55, Output: "unable to open missing file"}, want: true},
		"Manifest":    {reason: "A list of files that cannot be read.", failure: Failure{Command: "restore", Status: 41, Output: "unable to load backup manifest file"}, want: true},
		"Cipher":      {reason: "A file that cannot be decrypted.", failure: Failure{Command: "restore", Status: 95, Output: "cipher header missing"}, want: true},
		"Certificate": {reason: "A certificate that is not trusted has the same code.", failure: Failure{Command: "restore", Status: 95, Output: "unable to verify certificate presented by 's3'"}},
		"Away":        {reason: "A store that does not answer says nothing about what is in it.", failure: Failure{Command: "restore", Status: 49, Output: "unable to connect"}},
		"Refused":     {reason: "Nor does one that refuses.", failure: Failure{Command: "restore", Status: 101, Output: "HTTP request failed with 503"}},
		"NoSpace":     {reason: "Nor does a volume that is too small.", failure: Failure{Command: "restore", Status: 64, Output: "unable to write: No space left on device"}},
		"Backup":      {reason: "What a backup cannot read is an instance's.", failure: Failure{Command: "backup", Status: 55}},
		"Killed":      {reason: "Nor does a process that was killed.", failure: Failure{Command: "restore", Status: -1}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.failure.Damaged(); got != tc.want {
				t.Errorf("\n%s\nDamaged(): got %t, want %t", tc.reason, got, tc.want)
			}
		})
	}
}

func TestParseArchived(t *testing.T) {
	const listed = `{".":{"type":"path"},"000000010000000000000008-aa.zst":{"type":"file","size":1,"time":1772334000},` +
		`"000000010000000000000009-bb.zst":{"type":"file","size":1,"time":1772334060},` +
		`"00000001000000000000000B.partial-cc.zst":{"type":"file","size":1,"time":1772334060}}`
	files, err := parseArchived([]byte(listed))
	if err != nil {
		t.Fatal(err)
	}
	got, found := files.find("000000010000000000000009")
	if want := time.Unix(1772334060, 0).UTC(); !found || !got.Equal(want) {
		t.Errorf("the segment was archived at %s, %t; want %s", got, found, want)
	}
	for _, missing := range []string{"00000001000000000000000A", "00000001000000000000000B"} {
		if _, found := files.find(missing); found {
			t.Errorf("the segment %s was archived; want that it is not there", missing)
		}
	}
}

func TestIsIncomplete(t *testing.T) {
	cases := map[string]struct {
		reason string
		raw    string
		want   bool
	}{
		"HalfRemoved": {
			reason: "A removal that was interrupted leaves backups without the files that list them.",
			raw:    `[{"name":"db","status":{"code":3,"message":"missing stanza data"},"backup":[]}]`,
			want:   true,
		},
		"JustBegun": {
			reason: "The files are removed one after the other.",
			raw: `[{"name":"t","repo":[{"status":{"code":99,"message":"[FileMissingError] unable to load info file '/archive.info' or '/archive.info.copy'"}}],` +
				`"status":{"code":99,"message":"other"},"backup":[]}]`,
			want: true,
		},
		"Unreadable": {
			reason: "What cannot be read may be complete.",
			raw:    `[{"name":"db","status":{"code":99,"message":"other"},"backup":[]}]`,
		},
		"Gone": {
			reason: "What is not there at all is no error.",
			raw:    `[{"name":"db","status":{"code":1,"message":"missing stanza path"},"backup":[]}]`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := parseInfo([]byte(tc.raw))
			if got := IsIncomplete(err); got != tc.want {
				t.Errorf("\n%s\nIsIncomplete(%v) = %t, want %t", tc.reason, err, got, tc.want)
			}
		})
	}
}
