package backupplan

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/functiontest"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// nightly is a plan of the DBCluster orders that takes a full backup at two in the morning.
func nightly(change ...func(*request)) request {
	r := request{
		Cluster: naming.Cluster{Namespace: "shop", Name: "orders"},
		Plan:    "nightly",
		PITR:    true,
		Secrets: secretNames{Credentials: "store"},
		Repository: instance.Repository{
			Plan: "nightly", Type: v1alpha1.LocationS3, Bucket: "backups", Endpoint: "s3.example.org", Region: "us-east-1", URIStyle: "path",
			RetainDays: 14, Schedules: map[v1alpha1.BackupType]string{v1alpha1.BackupFull: "0 2 * * *"},
		},
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

func found(data map[string]string) compose.Lookup {
	l := compose.Lookup{Answered: true, Data: map[string][]byte{}}
	for k, v := range data {
		l.Data[k] = []byte(v)
	}
	return l
}

// working are the facts of a plan to which all goes well: its DBCluster archives, and was backed up last night.
func working(change ...func(*facts)) facts {
	id := nightly().Repository.ID()
	since := functiontest.Now().Add(-48 * time.Hour)
	f := facts{
		Repository:      map[string][]byte{instance.KeyRepository: []byte("before"), instance.KeyRepositoryRevision: []byte("1")},
		Wanted:          true,
		RoleThere:       true,
		Credentials:     found(map[string]string{"accessKeyID": "id", "secretAccessKey": "key"}),
		ClusterAnswered: true,
		ClusterFound:    true,
		Archive:         &instance.Archive{Repository: id, Path: "/orders", State: instance.Archiving, Since: &since},
		Inventory: &instance.Inventory{Repository: id, Backups: []instance.StoredBackup{
			{Label: "night", Type: v1alpha1.BackupFull, Start: functiontest.Now().Add(-10 * time.Hour), Stop: functiontest.Now().Add(-9 * time.Hour)},
		}},
	}
	for _, c := range change {
		c(&f)
	}
	return f
}

// creating makes a plan one that makes its bucket.
func creating(r *request) { r.CreateBucket = true }

// inForceNow is what the Secret of the repository says of the location that nightly has.
func inForceNow(t *testing.T) []byte {
	t.Helper()
	raw, err := json.Marshal(nightly().Repository)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestMakePlan(t *testing.T) {
	type args struct {
		request request
		seen    facts
	}
	type want struct {
		Phase   v1alpha1.BackupPlanPhase
		Reasons []string // Of the location, the schedule, archiving, backups and trying them.
		Bucket  string   // The reason of BucketReady, when the plan is to make the bucket.
		Stalls  bool
		Secret  string // The revision of what the Secret is to hold. Another one than before is "new".
		Backups int
		Next    time.Time
		Err     error
	}
	tonight := time.Date(2026, time.March, 2, 2, 0, 0, 0, time.UTC)
	well := []string{v1alpha1.ReasonAccepted, v1alpha1.ReasonAccepted, v1alpha1.ReasonArchiving, v1alpha1.ReasonBackedUp, v1alpha1.ReasonNotScheduled}
	with := func(i int, reason string) []string {
		reasons := append([]string(nil), well...)
		reasons[i] = reason
		return reasons
	}
	cases := map[string]struct {
		reason string
		args   args
		want   want
	}{
		"New": {
			reason: "Nothing is known of the credentials yet, and nothing is made of them.",
			args:   args{nightly(), facts{}},
			want: want{Phase: v1alpha1.BackupPlanPending, Next: tonight, Reasons: []string{
				v1alpha1.ReasonCredentialsMissing, v1alpha1.ReasonAccepted, v1alpha1.ReasonNoPrimary, v1alpha1.ReasonNoBackup, v1alpha1.ReasonNotScheduled,
			}},
		},
		"Active": {
			reason: "With WAL archived and a backup taken all is well.",
			args:   args{nightly(), working()},
			want:   want{Phase: v1alpha1.BackupPlanActive, Reasons: well, Secret: "new", Backups: 1, Next: tonight},
		},
		"CredentialsGone": {
			reason: "Credentials that are deleted stay in force where they are.",
			args:   args{nightly(), working(func(f *facts) { f.Credentials = compose.Lookup{Answered: true} })},
			want:   want{Phase: v1alpha1.BackupPlanFailing, Reasons: with(0, v1alpha1.ReasonCredentialsMissing), Stalls: true, Secret: "1", Backups: 1, Next: tonight},
		},
		"CredentialsIncomplete": {
			reason: "So do those that become unusable.",
			args:   args{nightly(), working(func(f *facts) { f.Credentials = found(map[string]string{"accessKeyID": "id"}) })},
			want:   want{Phase: v1alpha1.BackupPlanFailing, Reasons: with(0, v1alpha1.ReasonCredentialsRefused), Stalls: true, Secret: "1", Backups: 1, Next: tonight},
		},
		"LocationRefused": {
			reason: "While the credentials of another location are missing, the backups in the one in force are still what there is.",
			args: args{nightly(func(r *request) { r.Repository.Bucket, r.Secrets.Credentials = "elsewhere", "other" }), working(func(f *facts) {
				f.Repository[instance.KeyRepository], f.Credentials = inForceNow(t), compose.Lookup{Answered: true}
			})},
			want: want{Phase: v1alpha1.BackupPlanFailing, Reasons: with(0, v1alpha1.ReasonCredentialsMissing), Stalls: true, Secret: "1", Backups: 1, Next: tonight},
		},
		"SecretNotSeen": {
			reason: "A Secret that is there and not shown is not made anew without what it holds.",
			args:   args{nightly(), working(func(f *facts) { f.Repository, f.Credentials = nil, compose.Lookup{} })},
			want:   want{Err: errNotSeen},
		},
		"SecondPlan": {
			reason: "A second plan of a DBCluster changes nothing of the first one's.",
			args:   args{nightly(), facts{Rival: "weekly", ClusterAnswered: true, ClusterFound: true}},
			want: want{Phase: v1alpha1.BackupPlanFailing, Stalls: true, Next: tonight, Reasons: []string{
				v1alpha1.ReasonOtherPlan, v1alpha1.ReasonAccepted, v1alpha1.ReasonNoPrimary, v1alpha1.ReasonNoBackup, v1alpha1.ReasonNotScheduled,
			}},
		},
		"ScheduleRefused": {
			reason: "With a schedule that cannot be kept what was there before stays.",
			args: args{nightly(func(r *request) {
				r.Repository.Schedules = map[v1alpha1.BackupType]string{v1alpha1.BackupFull: "0 25 * * *"}
			}), working()},
			want: want{Phase: v1alpha1.BackupPlanFailing, Reasons: with(1, v1alpha1.ReasonRefused), Stalls: true, Secret: "1", Backups: 1},
		},
		"ClusterMissing": {
			reason: "A DBCluster that is not there is waited for.",
			args:   args{nightly(), working(func(f *facts) { f.ClusterFound, f.Archive, f.Inventory = false, nil, nil })},
			want: want{Phase: v1alpha1.BackupPlanPending, Secret: "new", Next: tonight, Reasons: []string{
				v1alpha1.ReasonAccepted, v1alpha1.ReasonAccepted, v1alpha1.ReasonClusterMissing, v1alpha1.ReasonNoBackup, v1alpha1.ReasonNotScheduled,
			}},
		},
		"ClusterStopped": {
			reason: "While the DBCluster is stopped the plan rests.",
			args:   args{nightly(), working(func(f *facts) { f.Stopped, f.Archive = true, nil })},
			want:   want{Phase: v1alpha1.BackupPlanPaused, Reasons: with(2, v1alpha1.ReasonClusterStopped), Secret: "new", Backups: 1},
		},
		"Paused": {
			reason: "A plan that is paused still archives.",
			args:   args{nightly(func(r *request) { r.Repository.Paused = true }), working()},
			want:   want{Phase: v1alpha1.BackupPlanPaused, Reasons: well, Secret: "new", Backups: 1},
		},
		"StoreUnusable": {
			reason: "A store that never worked needs somebody.",
			args: args{nightly(), working(func(f *facts) {
				f.Archive.State, f.Archive.Since, f.Inventory = instance.ArchiveStarting, nil, nil
				f.Incidents = []instance.Incident{{Code: instance.IncidentRepositoryUnusable, Message: "No such bucket."}}
			})},
			want: want{Phase: v1alpha1.BackupPlanFailing, Stalls: true, Secret: "new", Next: tonight, Reasons: []string{
				v1alpha1.ReasonAccepted, v1alpha1.ReasonAccepted, v1alpha1.ReasonRepositoryUnusable, v1alpha1.ReasonNoBackup, v1alpha1.ReasonNotScheduled,
			}},
		},
		"StoreDown": {
			reason: "A store that worked may come back by itself.",
			args: args{nightly(), working(func(f *facts) {
				f.Archive.State = instance.ArchiveFailing
				f.Incidents = []instance.Incident{{Code: instance.IncidentArchivingFails, Message: "It does not answer."}}
			})},
			want: want{Phase: v1alpha1.BackupPlanFailing, Reasons: with(2, v1alpha1.ReasonArchivingFails), Secret: "new", Backups: 1, Next: tonight},
		},
		"StoreChanged": {
			reason: "What is in the store before counts no more.",
			args:   args{nightly(func(r *request) { r.Repository.Bucket = "other" }), working()},
			want: want{Phase: v1alpha1.BackupPlanPending, Secret: "new", Next: tonight, Reasons: []string{
				v1alpha1.ReasonAccepted, v1alpha1.ReasonAccepted, v1alpha1.ReasonNoPrimary, v1alpha1.ReasonNoBackup, v1alpha1.ReasonNotScheduled,
			}},
		},
		"BackupOfAnotherDatabase": {
			reason: "A backup from before this database was archived cannot be brought forward.",
			args: args{nightly(), working(func(f *facts) {
				since := functiontest.Now().Add(-time.Hour)
				f.Archive.Since = &since
			})},
			want: want{Phase: v1alpha1.BackupPlanPending, Reasons: with(3, v1alpha1.ReasonNoBackup), Secret: "new", Next: tonight},
		},
		"BucketOnItsWay": {
			reason: "The instances are not told of a bucket that is not there yet.",
			args:   args{nightly(creating), facts{Credentials: found(map[string]string{"accessKeyID": "id", "secretAccessKey": "key"})}},
			want: want{Phase: v1alpha1.BackupPlanPending, Next: tonight, Bucket: v1alpha1.ReasonBucketCreating, Reasons: []string{
				v1alpha1.ReasonWaitingForBucket, v1alpha1.ReasonAccepted, v1alpha1.ReasonNoPrimary, v1alpha1.ReasonNoBackup, v1alpha1.ReasonNotScheduled,
			}},
		},
		"BucketRefused": {
			reason: "A bucket that could never be made needs somebody.",
			args: args{nightly(creating), facts{
				Credentials: found(map[string]string{"accessKeyID": "id", "secretAccessKey": "key"}), Bucket: bucketState{Problem: "It belongs to somebody else"},
			}},
			want: want{Phase: v1alpha1.BackupPlanFailing, Next: tonight, Bucket: v1alpha1.ReasonBucketFails, Stalls: true, Reasons: []string{
				v1alpha1.ReasonWaitingForBucket, v1alpha1.ReasonAccepted, v1alpha1.ReasonNoPrimary, v1alpha1.ReasonNoBackup, v1alpha1.ReasonNotScheduled,
			}},
		},
		"BucketThere": {
			reason: "With the bucket there the instances are told of it.",
			args:   args{nightly(creating), working(func(f *facts) { f.Bucket.Ready = true })},
			want:   want{Phase: v1alpha1.BackupPlanActive, Reasons: well, Bucket: v1alpha1.ReasonBucketReady, Secret: "new", Backups: 1, Next: tonight},
		},
		"BucketAway": {
			reason: "A bucket that was there may come back by itself.",
			args:   args{nightly(creating), working(func(f *facts) { f.Bucket = bucketState{Ready: true, Problem: "It does not answer"} })},
			want:   want{Phase: v1alpha1.BackupPlanFailing, Reasons: well, Bucket: v1alpha1.ReasonBucketFails, Secret: "new", Backups: 1, Next: tonight},
		},
		"BucketOfAnotherLocation": {
			reason: "The location before stays in force until the bucket of the new one is there.",
			args: args{nightly(creating, func(r *request) { r.Repository.Bucket = "other" }), working(func(f *facts) {
				f.Archive, f.Inventory = nil, nil
			})},
			want: want{Phase: v1alpha1.BackupPlanPending, Bucket: v1alpha1.ReasonBucketCreating, Secret: "1", Next: tonight, Reasons: []string{
				v1alpha1.ReasonWaitingForBucket, v1alpha1.ReasonAccepted, v1alpha1.ReasonNoPrimary, v1alpha1.ReasonNoBackup, v1alpha1.ReasonNotScheduled,
			}},
		},
		"BucketInForce": {
			reason: "New credentials of a location in force do not wait for its bucket.",
			args:   args{nightly(creating), working(func(f *facts) { f.Repository[instance.KeyRepository] = inForceNow(t) })},
			want:   want{Phase: v1alpha1.BackupPlanPending, Reasons: well, Bucket: v1alpha1.ReasonBucketCreating, Secret: "new", Backups: 1, Next: tonight},
		},
		"BucketOfASecondPlan": {
			reason: "A plan that is not in force makes no bucket.",
			args:   args{nightly(creating), facts{Rival: "weekly", ClusterAnswered: true, ClusterFound: true}},
			want: want{Phase: v1alpha1.BackupPlanFailing, Stalls: true, Next: tonight, Bucket: v1alpha1.ReasonOtherPlan, Reasons: []string{
				v1alpha1.ReasonOtherPlan, v1alpha1.ReasonAccepted, v1alpha1.ReasonNoPrimary, v1alpha1.ReasonNoBackup, v1alpha1.ReasonNotScheduled,
			}},
		},
		"BackupOverdue": {
			reason: "A backup that did not come hours after it was due is told of.",
			args: args{nightly(), working(func(f *facts) {
				f.Inventory.Backups[0].Start = functiontest.Now().Add(-34 * time.Hour)
			})},
			want: want{Phase: v1alpha1.BackupPlanFailing, Reasons: with(3, v1alpha1.ReasonBackupOverdue), Secret: "new", Backups: 1, Next: tonight},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p, err := makePlan(tc.args.request, tc.args.seen, functiontest.Now(), functiontest.Rand(1))
			got := want{Phase: p.Phase, Backups: len(p.Backups), Next: p.Next, Err: err, Secret: string(p.Secret[instance.KeyRepositoryRevision])}
			if len(got.Secret) > 1 {
				got.Secret = "new"
			}
			for _, v := range p.Verdicts {
				got.Stalls = got.Stalls || v.Stalls
				switch {
				case v.Type == v1alpha1.ConditionGrantsAccepted: // TestPlanGrants looks at these.
				case v.Type != v1alpha1.ConditionBucketReady:
					got.Reasons = append(got.Reasons, v.Reason)
				case v.Reason != v1alpha1.ReasonBucketGiven:
					got.Bucket = v.Reason
				}
				if v.Message == "" {
					t.Errorf("\n%s\nmakePlan(...): nobody is told what %s means", tc.reason, v.Reason)
				}
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateErrors()); diff != "" {
				t.Errorf("\n%s\nmakePlan(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestContent(t *testing.T) {
	azure := nightly(func(r *request) { r.Repository.Type = v1alpha1.LocationAzure })
	google := nightly(func(r *request) { r.Repository.Type = v1alpha1.LocationGCS })
	encrypted := nightly(func(r *request) { r.Secrets.Passphrase = "passphrase" })
	trusting := nightly(func(r *request) { r.Secrets.Trust = "authority" })
	keys := found(map[string]string{"accessKeyID": "id\n", "secretAccessKey": "key\r\n"})
	cases := map[string]struct {
		reason string
		r      request
		seen   facts
		want   map[string]string
		refuse string
	}{
		"TrailingNewlines": {
			reason: "What echo leaves behind is not part of a key.",
			r:      nightly(), seen: facts{Credentials: keys},
			want: map[string]string{instance.KeyAccessKey: "id", instance.KeySecretKey: "key"},
		},
		"SessionToken": {
			reason: "Temporary credentials have a token.",
			r:      nightly(), seen: facts{Credentials: found(map[string]string{"accessKeyID": "id", "secretAccessKey": "key", "sessionToken": "token"})},
			want: map[string]string{instance.KeyAccessKey: "id", instance.KeySecretKey: "key", instance.KeySessionToken: "token"},
		},
		"Azure": {
			reason: "An account and its key.",
			r:      azure, seen: facts{Credentials: found(map[string]string{"account": "me", "key": "secret"})},
			want: map[string]string{instance.KeyAccessKey: "me", instance.KeySecretKey: "secret"},
		},
		"Google": {
			reason: "The key of a service account as it is downloaded.",
			r:      google, seen: facts{Credentials: found(map[string]string{"key.json": "{}\n"})},
			want: map[string]string{instance.KeyServiceAccount: "{}\n"},
		},
		"GoogleNotJSON": {
			reason: "Anything else is refused before pgBackRest fails at it.",
			r:      google, seen: facts{Credentials: found(map[string]string{"key.json": "abc"})},
			refuse: "The key key.json of the Secret store of backupLocation's secretRef is not in JSON",
		},
		"Passphrase": {
			reason: "The passphrase is the user's.",
			r:      encrypted, seen: facts{Credentials: keys, Passphrase: found(map[string]string{"passphrase": "words of it\n"})},
			want: map[string]string{instance.KeyAccessKey: "id", instance.KeySecretKey: "key", instance.KeyPassphrase: "words of it"},
		},
		"PassphraseMissing": {
			reason: "What is to be encrypted is not written in the clear.",
			r:      encrypted, seen: facts{Credentials: keys, Passphrase: compose.Lookup{Answered: true}},
			refuse: "The Secret passphrase of encryption's secretRef does not exist in the namespace shop: create it with the key passphrase.",
		},
		"LineBreak": {
			reason: "A line break would begin another line of pgBackRest's configuration.",
			r:      nightly(), seen: facts{Credentials: found(map[string]string{"accessKeyID": "id\nrepo1-path=/", "secretAccessKey": "key"})},
			refuse: "holds a line break",
		},
		"NoCertificate": {
			reason: "What is trusted is certificates.",
			r:      trusting, seen: facts{Credentials: keys, Trust: found(map[string]string{"ca.crt": "hello"})},
			refuse: "There is no certificate in PEM",
		},
		"TrustMissing": {
			reason: "Nothing is trusted instead of what is not there.",
			r:      trusting, seen: facts{Credentials: keys, Trust: compose.Lookup{Answered: true}},
			refuse: "The Secret authority of s3Options.certRef does not exist in the namespace shop: create it with the key ca.crt.",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			data, refused := content(tc.r, tc.seen, ownCredentials(tc.r, tc.seen))
			if tc.refuse != "" {
				if refused == nil || !strings.Contains(refused.Message, tc.refuse) {
					t.Errorf("\n%s\ncontent(...): got %v, want a refusal that says %q", tc.reason, refused, tc.refuse)
				}
				return
			}
			if refused != nil {
				t.Fatalf("\n%s\ncontent(...): refused: %s", tc.reason, refused.Message)
			}
			got := map[string]string{}
			for k, v := range data {
				if k != instance.KeyRepository {
					got[k] = string(v)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\ncontent(...): -want, +got:\n%s", tc.reason, diff)
			}
			for _, secret := range got {
				if strings.Contains(string(data[instance.KeyRepository]), secret) && len(secret) > 3 {
					t.Errorf("\n%s\n%s has a secret in it", tc.reason, instance.KeyRepository)
				}
			}
		})
	}
}

// TestRevised shows that instances are told to read the Secret again when it is another one, and only then.
func TestRevised(t *testing.T) {
	first, err := revised(map[string][]byte{"a": []byte("1")}, nil, functiontest.Rand(1))
	if err != nil {
		t.Fatal(err)
	}
	same, err := revised(map[string][]byte{"a": []byte("1")}, first, functiontest.Rand(2))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, same); diff != "" {
		t.Errorf("the same content is another revision: %s", diff)
	}
	other, err := revised(map[string][]byte{"a": []byte("2")}, first, functiontest.Rand(2))
	if err != nil {
		t.Fatal(err)
	}
	if string(other[instance.KeyRepositoryRevision]) == string(first[instance.KeyRepositoryRevision]) {
		t.Error("another content is the same revision")
	}
}

func TestNotSeen(t *testing.T) {
	inForce := verdict{Condition: compose.Condition{Status: compose.True, Message: "It is in force."}}
	refused := verdict{Condition: compose.Condition{Status: compose.False, Message: "The Secret store is missing. Create it."}, Stalls: true}
	cases := map[string]struct {
		reason   string
		verdicts []verdict
		want     string
	}{
		"Unseen": {
			reason:   "Crossplane's cache is late, and nobody has to do anything.",
			verdicts: []verdict{inForce, inForce},
			want:     errNotSeen.Error(),
		},
		"Deleted": {
			reason:   "It is made again when what it is made from is there.",
			verdicts: []verdict{refused, inForce},
			want:     errNotSeen.Error() + ": The Secret store is missing. Create it",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := notSeen(tc.verdicts...)
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" || !errors.Is(err, errNotSeen) {
				t.Errorf("\n%s\nnotSeen(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
