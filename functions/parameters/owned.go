package parameters

import (
	"slices"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// owned returns why a setting is the system's. Admission refuses these first; a claim that was admitted by an older schema
// is refused here.
func owned(name string) (reason string, isOwned bool) {
	for _, o := range v1alpha1.SystemParameters() {
		if slices.Contains(o.Names, name) {
			return o.Reason, true
		}
	}
	return "", false
}
