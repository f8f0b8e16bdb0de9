//go:build e2e

package databases

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/package/oci"
)

const (
	// clockLibrary lets a process have another clock, and clockFile says how far it is ahead, in an instance.
	clockLibrary = "/usr/local/lib/clock.so"
	clockFile    = "/run/xdbcluster/clock"

	// jumpTime is how long the clock of an instance is wrong: longer than the leader lock lasts without being renewed.
	jumpTime = 40 * time.Second
)

// TestClockJumps lets the wall clock of Patroni and PostgreSQL of one instance jump, by more than the leader lock lasts, and back. Nobody
// may take over from a primary that is well, and nothing may be lost when one fails while the clocks are apart. The clock of the
// machine, and of everything else on it, stays right.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	d := newScene(t).create("jumping", clusterSpec("17", 2))
	image := d.imageWithClock(d.image())
	d.roll(func(spec *v1alpha1.DBClusterSpec) { spec.DatabaseImage = image })
	w := d.write()
	primary := d.waitPrimary("")

	for _, jump := range []time.Duration{2 * time.Minute, -2 * time.Minute} {
		for _, instance := range []string{d.standby(), primary} {
			since := time.Now()
			d.setClock(instance, jump)
			time.Sleep(jumpTime)
			d.setClock(instance, 0)
			w.waitWriting()
			gap := w.gap(since)
			t.Logf("the clock of %s (the primary is %s) jumps by %s, and back: no row was acknowledged for %s", instance, primary, jump, gap)
			if now := d.waitPrimary(""); now != primary {
				t.Errorf("the primary is %s; want %s as before", now, primary)
			}
			if gap > 5*time.Second {
				t.Errorf("no row was acknowledged for %s; want that the primary goes on", gap)
			}
			d.waitRollout(v1alpha1.RolloutComplete)
		}
	}

	t.Log("The postmaster is killed while every clock says something else")
	for i, host := range d.status().Instances {
		d.setClock(host.Name, time.Duration(i-1)*2*time.Minute)
	}
	since := time.Now()
	d.mustInInstance(primary, killPostmaster)
	d.waitPrimary(primary)
	w.waitWriting()
	t.Logf("no row was acknowledged for %s", w.gap(since))
	d.waitRollout(v1alpha1.RolloutComplete)
	d.checkWhole(3)
	w.check()
}

// setClock sets how far the clock of an instance's Patroni and PostgreSQL is ahead.
func (d *database) setClock(instance string, ahead time.Duration) {
	d.Helper()
	d.mustInInstance(instance, fmt.Sprintf("echo %+d > %s", int(ahead.Seconds()), clockFile))
}

// imageWithClock publishes an image whose processes go by the clock in clockFile, and returns its reference.
func (d *database) imageWithClock(of string) string {
	d.Helper()
	ref, err := name.ParseReference(of)
	if err != nil {
		d.Fatalf("cannot parse image reference %q: %v", of, err)
	}
	img, err := remote.Image(ref, remote.WithContext(d.Context()))
	if err != nil {
		d.Fatalf("cannot read image %q: %v", of, err)
	}
	layer, err := oci.Layer(oci.File{Path: clockLibrary, Source: d.clockLibrary(), Mode: 0o755})
	if err != nil {
		d.Fatal(err)
	}
	img, err = mutate.AppendLayers(img, layer)
	if err != nil {
		d.Fatalf("cannot add a layer to image %q: %v", of, err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		d.Fatalf("cannot read the configuration of image %q: %v", of, err)
	}
	config := file.Config.DeepCopy()
	config.Env = append(config.Env, "LD_PRELOAD="+clockLibrary, "CLOCK_FILE="+clockFile)
	img, err = mutate.Config(img, *config)
	if err != nil {
		d.Fatalf("cannot configure image %q: %v", of, err)
	}
	digest, err := img.Digest()
	if err != nil {
		d.Fatalf("cannot compute the digest of an image: %v", err)
	}
	with := ref.Context().Tag(ref.Identifier() + "-clock-" + digest.Hex[:12]).Name() // A node that has a tag asks no more for it.
	if err := oci.Push(d.Context(), with, img); err != nil {
		d.Fatal(err)
	}
	return with
}

// clockLibrary builds the library and returns where it is.
func (d *database) clockLibrary() string {
	d.Helper()
	library := filepath.Join(d.TempDir(), "clock.so")
	cmd := exec.CommandContext(d.Context(), "cc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", library, filepath.Join("testdata", "clock.c")) //nolint:gosec // The test's own names.
	if out, err := cmd.CombinedOutput(); err != nil {
		d.Fatalf("cannot build the library that has another clock: %v: %s", err, out)
	}
	return library
}
