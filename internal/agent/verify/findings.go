package verify

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/restore"
)

// tries is how often a backup may fail to be tried for reasons that say nothing about it.
const tries = 3

// A finding is something that is wrong with a backup, or with the WAL that follows it.
type finding struct {
	Label  string
	Target string
	Cause  string
	Checks []string // That were passed before.

	// Unmarked is why it could not be marked as damaged. Empty when it is.
	Unmarked string
}

// Findings are what a verification has come to so far.
type findings struct {
	// Last is what was tried last, from which backup, and which checks that has passed.
	Last   trial
	Label  string
	Checks []string

	// Sound says that nothing is wrong with it.
	Sound bool

	// Failures are how often a backup could not be tried, and Failed why the last time.
	Failures int
	Failed   string

	// Doubted is the trial that has failed once for what is in the repository. It has to fail twice.
	Doubted trial

	// Next is what is to be tried next whatever choose says. The zero one is none.
	Next trial

	// Gap is what is wrong with the WAL, and Damaged are the backups that are damaged, in the order in which they were found.
	Gap     *finding
	Damaged []finding
}

// A step is what follows from a trial.
type step int

const (
	// end: there is an outcome.
	end step = iota

	// repeat: another trial, after a pause.
	repeat

	// condemn: the backup is to be marked as damaged, and the one before it tried.
	condemn
)

// take takes what a trial has come to. A fault counts when it shows twice: one of a disk or of memory does not come back.
func (f *findings) take(t trial, label string, checks []string, err error) step {
	f.Last, f.Checks, f.Next = t, checks, trial{}
	if label != "" {
		f.Label = label
	}
	if err == nil {
		f.Sound = true
		return end
	}
	if !isDamage(err) || label == "" {
		f.Failures, f.Failed = f.Failures+1, err.Error()
		if f.Failures >= tries {
			return end
		}
		if refusal := (restore.Refusal{}); !errors.As(err, &refusal) { // It may be gone meanwhile.
			f.Next = t
		}
		return repeat
	}
	if f.Doubted != t {
		f.Doubted, f.Next = t, t
		return repeat
	}
	wrong := finding{Label: label, Target: t.target(), Cause: err.Error(), Checks: checks}
	if t.LSN != "" {
		f.Gap, f.Next = &wrong, trial{Label: label}
		return repeat
	}
	f.Damaged = append(f.Damaged, wrong)
	return condemn
}

// remember adds what this verification has found before its Job was started again.
func (f *findings) remember(label string) {
	for _, there := range f.Damaged {
		if there.Label == label {
			return
		}
	}
	f.Damaged = append(f.Damaged, finding{
		Label: label, Target: trial{Label: label}.target(), Cause: "the log of the Job's Pod before this one says why",
	})
}

// isDamage says whether an error is because of what is in the repository.
func isDamage(err error) bool {
	var wrong interface {
		error
		Damaged() bool
	}
	return errors.As(err, &wrong) && wrong.Damaged()
}

// outcome is what is written down.
func (f *findings) outcome(began, now time.Time) instance.Verification {
	v := instance.Verification{
		Time: now.UTC().Truncate(time.Second), Duration: now.Sub(began).Round(time.Second).String(),
		Label: f.Label, Target: f.Last.target(), Checks: f.Checks,
	}
	if f.Label == "" {
		v.Target = ""
	}
	switch {
	case len(f.Damaged) > 0:
		v.Result, v.Label, v.Target, v.Checks = v1alpha1.VerificationDamaged, f.Damaged[0].Label, f.Damaged[0].Target, f.Damaged[0].Checks
		v.Message = f.damaged()
	case f.Gap != nil:
		v.Result, v.Label, v.Target, v.Checks = v1alpha1.VerificationDamaged, f.Gap.Label, f.Gap.Target, f.Gap.Checks
		v.Message = f.gap()
	case f.Sound:
		v.Result, v.Message = v1alpha1.VerificationSucceeded, "It was restored, started and looked through, and nothing is wrong with it."
	case f.Failures > 0:
		v.Result = v1alpha1.VerificationFailed
		v.Message = fmt.Sprintf("It could not be tried, %d times: %s. That says nothing about the backup. The next one is tried on schedule.", f.Failures, f.Failed)
	default:
		v.Result = v1alpha1.VerificationFailed
		v.Message = "There is no backup that could be tried. Look at the BackupPlan's other conditions for the reason."
	}
	return v
}

// damaged says which backups are damaged, which is not, and what to do.
func (f *findings) damaged() string {
	text := &strings.Builder{}
	for _, d := range f.Damaged {
		fmt.Fprintf(text, "The backup %s is damaged: %s. ", d.Label, d.Cause)
		if d.Unmarked != "" {
			fmt.Fprintf(text, "It could not be marked as such (%s), so that it may still be restored. ", d.Unmarked)
		}
	}
	switch {
	case f.Sound:
		fmt.Fprintf(text, "%s, which it continues, is sound. ", f.Label)
	case f.Failed != "":
		fmt.Fprintf(text, "What it continues could not be tried: %s. ", f.Failed)
	}
	text.WriteString("It is not restored any more, nor counts it, and the next backup is a full one: create a Backup now if that is not soon. ")
	text.WriteString("If the running database has the same fault, mend it there first.")
	return text.String()
}

// gap says that moments between backups are lost, and what to do.
func (f *findings) gap() string {
	backup := "Whether the backup itself is sound could not be found out: " + f.Failed
	if f.Sound {
		backup = "The backup itself is sound"
	}
	return fmt.Sprintf("WAL cannot be replayed from the backup %s %s: %s. %s. Moments from there up to the next backup cannot be restored. "+
		"Look for what has changed or removed objects in the store, and create a full Backup, from which WAL is whole again.", f.Gap.Label, f.Gap.Target, f.Gap.Cause, backup)
}
