package volume

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

func random() *bytes.Reader { return bytes.NewReader([]byte("12345678")) }

func TestOpen(t *testing.T) {
	const incarnation = "3132333435363738"
	cases := map[string]struct {
		reason string
		files  map[string]string
		want   error
	}{
		"Empty": {
			reason: "An empty volume begins an incarnation.",
		},
		"OnlyWhatFileSystemsMake": {
			reason: "What a new file system has by itself is nobody's data.",
			files:  map[string]string{"lost+found/.keep": "", lockFile: ""},
		},
		"NotOurs": {
			reason: "Data that the agent did not put there must not be hidden by a new database.",
			files:  map[string]string{"pgdata/PG_VERSION": "17\n"},
			want:   ErrNotOurs,
		},
		"Begun": {
			reason: "An incarnation in which initdb never ended is gone on with.",
			files:  map[string]string{identityFile: `{"incarnation":"` + incarnation + `"}`},
		},
		"Born": {
			reason: "A database that was born and is there is opened.",
			files: map[string]string{
				identityFile: `{"incarnation":"` + incarnation + `","systemIdentifier":"7"}`,
				incarnation + "/" + dataFolder + "/PG_VERSION":        "17\n",
				incarnation + "/" + dataFolder + "/global/pg_control": "",
			},
		},
		"BornAndCopiedInPart": {
			reason: "A copy that was interrupted is no database.",
			files: map[string]string{
				identityFile: `{"incarnation":"` + incarnation + `","systemIdentifier":"7"}`,
				incarnation + "/" + dataFolder + "/PG_VERSION": "17\n",
			},
			want: ErrDataMissing,
		},
		"BornAndGone": {
			reason: "A volume must never start empty where data was.",
			files:  map[string]string{identityFile: `{"incarnation":"` + incarnation + `","systemIdentifier":"7"}`},
			want:   ErrDataMissing,
		},
		"OtherVersion": {
			reason: "PostgreSQL cannot open another version's data; saying so beats a crash loop.",
			files: map[string]string{
				identityFile: `{"incarnation":"` + incarnation + `","systemIdentifier":"7"}`,
				incarnation + "/" + dataFolder + "/PG_VERSION":        "15\n",
				incarnation + "/" + dataFolder + "/global/pg_control": "",
			},
			want: ErrOtherVersion,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			for file, content := range tc.files {
				write(t, filepath.Join(folder, file), content)
			}
			v, err := Open(folder, "17", nil, random())
			if !errors.Is(err, tc.want) {
				t.Fatalf("\n%s\nOpen(...): got error %v, want %v", tc.reason, err, tc.want)
			}
			if tc.want == nil && v.DataDirectory() != filepath.Join(folder, incarnation, dataFolder) {
				t.Errorf("\n%s\nDataDirectory(): got %q", tc.reason, v.DataDirectory())
			}
		})
	}
}

// TestRecordBirth shows that a birth outlives the agent, and that the data directory must be there from then on.
func TestRecordBirth(t *testing.T) {
	folder := t.TempDir()
	v, err := Open(folder, "17", nil, random())
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(v.DataDirectory(), "PG_VERSION"), "17\n")
	write(t, filepath.Join(v.DataDirectory(), "global", "pg_control"), "")
	born := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if err := v.RecordBirth("7", born); err != nil {
		t.Fatal(err)
	}
	if err := v.RecordBirth("8", born.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}

	again, err := Open(folder, "17", nil, random())
	if err != nil {
		t.Fatal(err)
	}
	if id := again.Identity(); id.SystemIdentifier != "7" || id.Born == nil || !id.Born.Equal(born) {
		t.Errorf("a second birth must not replace the first: got %+v", id)
	}
	if err := os.RemoveAll(again.DataDirectory()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(folder, "17", nil, random()); !errors.Is(err, ErrDataMissing) {
		t.Errorf("Open(...) without the data directory: got %v, want %v", err, ErrDataMissing)
	}
}

// TestLock shows that a second holder waits until the first has ended. The first is a process of its own: the kernel keeps
// such a lock for a process, not for a goroutine.
func TestLock(t *testing.T) {
	folder := t.TempDir()
	holder := exec.CommandContext(t.Context(), "flock", filepath.Join(folder, lockFile), "sh", "-c", "echo held; sleep 60")
	holder.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 4)); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	waited := false
	if err := Lock(ctx, folder, func() { waited = true }); !errors.Is(err, context.DeadlineExceeded) || !waited {
		t.Fatalf("Lock(...) while another holds it: got error %v, told of waiting %t", err, waited)
	}
	if err := syscall.Kill(-holder.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := Lock(t.Context(), folder, func() {}); err != nil {
		t.Errorf("Lock(...) after the holder's end: %v", err)
	}
}

// TestLockOutlivesItsCaller looks from another process, after the garbage collector has had its turns.
func TestLockOutlivesItsCaller(t *testing.T) {
	folder := t.TempDir()
	if err := Lock(t.Context(), folder, func() {}); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	if err := exec.CommandContext(t.Context(), "flock", "--nonblock", filepath.Join(folder, lockFile), "true").Run(); err == nil {
		t.Error("another process gets the volume while this one has it")
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestClear(t *testing.T) {
	folder := t.TempDir()
	v, err := Open(folder, "17", nil, random())
	if err != nil {
		t.Fatal(err)
	}
	control := filepath.Join(v.DataDirectory(), "global", "pg_control")
	check := func(want bool) {
		t.Helper()
		if has, err := v.HasDatabase(); has != want || err != nil {
			t.Errorf("HasDatabase() = %t, %v; want %t", has, err, want)
		}
	}
	write(t, control, "")
	check(true)
	if err := v.Clear(); err != nil {
		t.Errorf("an interrupted birth cannot be cleared: %v", err)
	}
	check(false)

	write(t, control, "")
	if err := v.RecordBirth("7300000000000000000", time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	if v.Clear() == nil {
		t.Error("the data of a database that was born was cleared")
	}
	if v.Forget() == nil {
		t.Error("a database that is there was given up")
	}
	check(true)

	if err := os.Remove(control); err != nil {
		t.Fatal(err)
	}
	if err := v.Forget(); err != nil {
		t.Errorf("a database that is not there cannot be given up: %v", err)
	}
	if id := v.Identity(); id.SystemIdentifier != "" {
		t.Errorf("the volume still knows the database %s", id.SystemIdentifier)
	}
}
