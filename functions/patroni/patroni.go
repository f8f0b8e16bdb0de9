// Package patroni holds what the function must know about Patroni: the version that comes with each PostgreSQL, the labels
// of Pods, and its timing.
package patroni

import "github.com/xdbcluster/xdbcluster/functions/instance"

// Values of the label that says what an instance is.
const (
	labelPrimary       = "primary"
	labelPrimaryBefore = "master"
	labelStandby       = "replica"
)

// MinimumTTL of the leader lock, in seconds, that Patroni accepts.
const MinimumTTL = 20

// PrimaryLabel returns the value that the role label of the primary's Pod has. PostgreSQL 15 comes with Patroni 3.0.2
// (Debian 12), which writes "master": Pods of images in which Patroni set the label have that.
func PrimaryLabel(version string) string {
	if version == "15" {
		return labelPrimaryBefore
	}
	return labelPrimary
}

// PrimaryLabels are those that the primary's Pod can have, whatever its version.
func PrimaryLabels() []string { return []string{labelPrimary, labelPrimaryBefore} }

// StandbyLabel returns the value that the role label of a standby's Pod has. It is the same in every version.
func StandbyLabel(string) string { return labelStandby }

// Timing returns Patroni's timing. Patroni wants loop_wait + 2 x retry_timeout <= ttl, so that a primary which cannot
// reach the API server notices before its lock ends. The values are the shortest that keep to it at the smallest ttl: a
// lost primary is noticed within 20 seconds, or when a primary that does not answer would be, if that is to take longer.
func Timing(h instance.Health) instance.Patroni {
	return instance.Patroni{TTL: max(MinimumTTL, h.PeriodSeconds*h.FailoverThreshold), LoopWait: 5, RetryTimeout: 5}
}
