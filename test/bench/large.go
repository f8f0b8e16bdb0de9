package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/pgbackrest"
	"github.com/xdbcluster/xdbcluster/test/cluster/objectstore"
)

const (
	// rowsOfGiB are how many rows of the large database make a GiB: 32 take a page.
	rowsOfGiB = 32 * (1 << 30) / 8192

	// largeLimit bounds what is done once to a large database.
	largeLimit = 30 * time.Minute

	// scratch is a folder of the Pod by hand that a database is restored to.
	scratch = "/scratch"
)

type largeCommand struct {
	Runs int `default:"3" help:"How often to measure."`
	Size int `default:"5" help:"How large the database is, in GiB."`
}

// Run measures a full backup and a clone of a large database, each beside what is the same by hand: pgBackRest with the backup's own
// configuration, in a Pod like the backup's. It needs the local cluster's object store.
func (c largeCommand) Run(ctx context.Context, b *bench, r *report) error {
	m := &large{
		key:     client.ObjectKey{Namespace: namespace, Name: "large"},
		size:    c.Size,
		backup:  &measurement{what: "full backup, from its first copied file to Succeeded", unit: seconds},
		byHand:  &measurement{what: "pgbackrest backup, by hand", unit: seconds},
		ratio:   &measurement{what: "throughput of the former, as a part of the latter's in the same round", atMost: "(at least) 0.95", unit: ratio},
		clone:   &measurement{what: "clone applied, to Ready", unit: seconds},
		restore: &measurement{what: "pgbackrest restore and recovery, by hand", unit: seconds},
		times:   &measurement{what: "the former, as a multiple of the latter in the same round", atMost: "1.2", unit: ratio},
	}
	bucket := filepath.Join(objectstore.Buckets(), backupStore)
	defer os.RemoveAll(bucket) //nolint:errcheck // A bucket of the local cluster that stays does no harm.
	err := b.inNamespace(ctx, func(ctx context.Context) error {
		return b.withApplication(ctx, namespace, func(ctx context.Context, a application) error {
			m.application = a
			return cleanly(ctx, func(ctx context.Context) error { return m.measure(ctx, bucket, c.Runs) },
				func(ctx context.Context) error { return m.removeBackups(ctx, m.key) })
		})
	})
	if err != nil {
		return err
	}
	return r.table(m.backup, m.byHand, m.ratio, m.clone, m.restore, m.times)
}

// A large is a large database, and what is measured of it.
type large struct {
	application

	key  client.ObjectKey
	size int // In GiB.

	backup, byHand, ratio *measurement
	clone, restore, times *measurement

	hand   *corev1.Pod // Like the Pod of a backup, and does nothing by itself.
	config string      // pgBackRest's configuration of a backup.
}

func (m *large) measure(ctx context.Context, bucket string, runs int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(runs+1)*largeLimit)
	defer cancel()
	if err := m.Progress.Step(fmt.Sprintf("A database of %d GiB", m.size), func() error { return m.fill(ctx, bucket) }); err != nil {
		return err
	}
	if err := m.Progress.Step("Backup that does not count", func() error { return m.takeBackup(ctx, "large-0") }); err != nil {
		return err
	}
	m.backup.samples = nil
	for i := range runs {
		if err := m.round(ctx, fmt.Sprintf("large-%d", i+1), i%2 == 1); err != nil {
			return err
		}
	}
	return nil
}

// round measures each once. What comes second finds files in memory: by hand comes first in every other round.
func (m *large) round(ctx context.Context, name string, byHandFirst bool) error {
	type step struct {
		what string
		do   func() error
	}
	backups := []step{
		{"Backup " + name, func() error { return m.takeBackup(ctx, name) }},
		{"Backup by hand", func() error { return m.takeByHand(ctx) }},
	}
	clones := []step{
		{"Clone " + name, func() error { return m.makeClone(ctx, name) }},
		{"Restore by hand", func() error { return m.restoreByHand(ctx) }},
	}
	if byHandFirst {
		slices.Reverse(backups)
		slices.Reverse(clones)
	}
	for _, s := range append(backups, clones...) {
		if err := m.Progress.Step(s.what, s.do); err != nil {
			return err
		}
	}
	m.ratio.add(m.byHand.last() / m.backup.last())
	m.times.add(m.clone.last() / m.restore.last())
	return nil
}

// spec has a disk for the database, its WAL, and as much again.
func (m *large) spec() v1alpha1.DBClusterSpec {
	spec := smallSpec()
	spec.PrimarySpec.Resources.Memory = resource.MustParse("1Gi")
	spec.PrimarySpec.Resources.Disks[0].Size = *resource.NewQuantity(int64(4*m.size)<<30, resource.BinarySI)
	return spec
}

// fill makes the database, and its BackupPlan afterwards: what fills it is not archived.
func (m *large) fill(ctx context.Context, bucket string) error {
	location, err := m.location(ctx, bucket)
	if err != nil {
		return err
	}
	if err := m.apply(ctx, m.key, m.spec()); err != nil {
		return err
	}
	if err := m.WaitClaimReady(ctx, m.key); err != nil {
		return err
	}
	for i := range m.size {
		statement := fmt.Sprintf("create table filling_%d as select n, repeat(md5(n::text), 6) as t from generate_series(1, %d) n; checkpoint", i, rowsOfGiB)
		if _, err := m.sql(ctx, m.key, statement); err != nil {
			return err
		}
	}
	size, err := m.sql(ctx, m.key, "select pg_size_pretty(pg_database_size(current_database()))")
	if err != nil {
		return err
	}
	m.Progress.Note("Size", size)
	_, err = m.firstBackup(ctx, m.key, location)
	return err
}

// takeBackup measures a Backup from when it copies until it says that it has succeeded.
func (m *large) takeBackup(ctx context.Context, name string) error {
	key := client.ObjectKey{Namespace: namespace, Name: name}
	if err := m.create(ctx, v1alpha1.KindBackup, key, map[string]any{
		"dbclusterRef": m.key.Name, "backupPlanRef": m.key.Name, "physicalBackupSpec": map[string]any{"backupType": string(v1alpha1.BackupFull)},
	}); err != nil {
		return err
	}
	status := v1alpha1.BackupStatus{}
	if err := m.waitStatus(ctx, v1alpha1.KindBackup, key, &status, func() bool { return status.Phase == v1alpha1.BackupInProgress }); err != nil {
		return err
	}
	start := time.Now()
	if m.hand == nil {
		if err := m.copyPod(ctx, name); err != nil {
			return err
		}
	}
	if err := m.waitStatus(ctx, v1alpha1.KindBackup, key, &status, func() bool { return status.Phase.Final() }); err != nil {
		return err
	}
	if status.Phase != v1alpha1.BackupSucceeded {
		return fmt.Errorf("cannot measure Backup %q: it is %s: %s", name, status.Phase, status.Message)
	}
	m.backup.took(time.Since(start))
	return nil
}

// copyPod makes a Pod like that of a backup that copies, with its configuration, for what is done by hand.
func (m *large) copyPod(ctx context.Context, backup string) error {
	pods := &corev1.PodList{}
	if err := m.Client.List(ctx, pods, client.InNamespace(namespace)); err != nil {
		return fmt.Errorf("cannot list Pods: %w", err)
	}
	var pod *corev1.Pod
	for i := range pods.Items {
		if strings.HasPrefix(pods.Items[i].Name, backup+".") {
			pod = &pods.Items[i]
		}
	}
	if pod == nil {
		return fmt.Errorf("cannot find the Pod of Backup %q", backup)
	}
	config, err := m.exec(ctx, client.ObjectKeyFromObject(pod), pod.Spec.Containers[0].Name, "", "cat", filepath.Join(instance.FolderRun, "pgbackrest", "backup.conf"))
	if err != nil {
		return err
	}
	m.config = config
	m.hand = byHand(pod, m.spec().PrimarySpec.Resources.Disks[0].Size)
	if err := m.Client.Create(ctx, m.hand); err != nil {
		return fmt.Errorf("cannot create a Pod: %w", err)
	}
	return until(ctx, interval, "the Pod by hand runs", func(ctx context.Context) (string, bool) {
		err := m.Client.Get(ctx, client.ObjectKeyFromObject(m.hand), m.hand)
		return fmt.Sprintf("%s, %v", m.hand.Status.Phase, err), err == nil && m.hand.Status.Phase == corev1.PodRunning
	})
}

// byHand returns a Pod like that of a Job, but for what it runs, and for a volume like a database's to restore to.
func byHand(job *corev1.Pod, room resource.Quantity) *corev1.Pod {
	labels := map[string]string{}
	for key, value := range job.Labels {
		if !strings.Contains(key, "job-name") && !strings.Contains(key, "controller-uid") {
			labels[key] = value
		}
	}
	spec := job.Spec.DeepCopy()
	spec.NodeName = ""
	spec.RestartPolicy = corev1.RestartPolicyNever
	spec.TerminationGracePeriodSeconds = new(int64)
	c := &spec.Containers[0]
	c.Command, c.Args = []string{"sleep", "infinity"}, nil
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "scratch", MountPath: scratch})
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: "scratch", VolumeSource: corev1.VolumeSource{
		Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: room}},
		}}},
	}})
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: job.Namespace, Name: "by-hand", Labels: labels}, Spec: *spec}
}

// timed runs a script in the Pod by hand and returns how long it took there.
func (m *large) timed(ctx context.Context, script string) (time.Duration, error) {
	whole := "set -e; began=$(date +%s%N)\n" + script + "\n" + `echo "took $(($(date +%s%N) - began))"`
	out, err := m.exec(ctx, client.ObjectKeyFromObject(m.hand), m.hand.Spec.Containers[0].Name, whole, "sh", "-es")
	if err != nil {
		return 0, err
	}
	_, took, _ := strings.Cut(out, "took ")
	nanoseconds, err := strconv.ParseInt(strings.TrimSpace(took), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("cannot read how long it took from %q: %w", out, err)
	}
	return time.Duration(nanoseconds), nil
}

// takeByHand runs the command of a backup.
func (m *large) takeByHand(ctx context.Context) error {
	took, err := m.timed(ctx, fmt.Sprintf(`mkdir -p %[1]s/pgbackrest
cat > %[1]s/hand.conf <<'CONF'
%[2]s
CONF
pgbackrest --config=%[1]s/hand.conf --stanza=%[3]s backup --type=full >/dev/null`, instance.FolderRun, m.config, pgbackrest.Stanza))
	if err != nil {
		return err
	}
	m.byHand.took(took)
	return nil
}

// makeClone measures a clone of the newest backup, and removes it.
func (m *large) makeClone(ctx context.Context, name string) error {
	key, spec := client.ObjectKey{Namespace: namespace, Name: name}, m.spec()
	spec.DeletionProtection, spec.VolumeRetentionPolicy = new(bool), v1alpha1.VolumesDeleted
	spec.Bootstrap = &v1alpha1.BootstrapSpec{Restore: v1alpha1.RestoreSpec{
		SourceDBCluster: m.key.Name, RestoreTarget: v1alpha1.RestoreTarget{Immediate: true},
	}}
	start := time.Now()
	if err := m.apply(ctx, key, spec); err != nil {
		return err
	}
	if err := m.WaitClaimReady(ctx, key); err != nil {
		return err
	}
	m.clone.took(time.Since(start))
	claim, err := m.Claim(ctx, key)
	if err != nil {
		return err
	}
	if err := m.Client.Delete(ctx, &claim); err != nil {
		return fmt.Errorf("cannot delete DBCluster %q: %w", name, err)
	}
	return until(ctx, interval, "the clone is gone", func(ctx context.Context) (string, bool) {
		_, err := m.Claim(ctx, key)
		return fmt.Sprint(err), client.IgnoreNotFound(err) == nil && err != nil
	})
}

// restoreByHand measures pgBackRest's restore of the newest backup, and PostgreSQL until it accepts connections.
func (m *large) restoreByHand(ctx context.Context) error {
	const script = `rm -rf SCRATCH/* && mkdir -m 700 SCRATCH/data
sed '/^pg[0-9]-/d' RUN/hand.conf > RUN/restore.conf
pgbackrest --config=RUN/restore.conf --stanza=STANZA --pg1-path=SCRATCH/data --type=immediate --target-action=promote restore >/dev/null
echo 'local all all trust' > SCRATCH/hba.conf
touch SCRATCH/postgresql.conf
bin=$(dirname $(ls /usr/lib/postgresql/*/bin/postgres))
$bin/postgres -D SCRATCH/data -c config_file=SCRATCH/postgresql.conf -c hba_file=SCRATCH/hba.conf -c unix_socket_directories=SCRATCH \
	-c listen_addresses= -c hot_standby=off -c shared_buffers=128MB >SCRATCH/log 2>&1 </dev/null &
until $bin/pg_isready -q -h SCRATCH; do kill -0 $! || { cat SCRATCH/log; exit 1; }; sleep 0.1; done`
	took, err := m.timed(ctx, strings.NewReplacer("SCRATCH", scratch, "RUN", instance.FolderRun, "STANZA", pgbackrest.Stanza).Replace(script))
	if err != nil {
		return err
	}
	m.restore.took(took)
	stop := fmt.Sprintf("$(ls -d /usr/lib/postgresql/*/bin)/pg_ctl -D %[1]s/data stop -m immediate >/dev/null; rm -rf %[1]s/*", scratch)
	_, err = m.exec(ctx, client.ObjectKeyFromObject(m.hand), m.hand.Spec.Containers[0].Name, stop, "sh", "-es")
	return err
}
