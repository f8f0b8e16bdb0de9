//go:build e2e

package databases

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// A database is a DBCluster of a scene.
type database struct {
	*scene

	name string

	// spec is what was applied last.
	spec v1alpha1.DBClusterSpec
}

// settled is how long a claim's conditions must stay the same to be taken for the last word.
const settled = time.Second

// smallSpec is that of a database that leaves room for others.
func smallSpec(version string) v1alpha1.DBClusterSpec {
	return v1alpha1.DBClusterSpec{
		PrimarySpec: v1alpha1.PrimarySpec{
			Version: version,
			Resources: v1alpha1.ResourcesSpec{
				CPU:    resource.MustParse("100m"),
				Memory: resource.MustParse("256Mi"),
				Disks:  []v1alpha1.DiskSpec{{Name: v1alpha1.DataDisk, Size: resource.MustParse("1Gi")}},
			},
		},
	}
}

// create applies a claim and waits until it is rolled out.
func (s *scene) create(name string, spec v1alpha1.DBClusterSpec) *database {
	s.Helper()
	d := s.start(name, spec)
	d.waitRolledOut()
	return d
}

// start applies a claim and does not wait.
func (s *scene) start(name string, spec v1alpha1.DBClusterSpec) *database {
	s.Helper()
	d := &database{scene: s, name: name, spec: spec}
	if err := d.applySpec(); err != nil {
		s.Fatal(err)
	}
	return d
}

// example applies a file of examples/claims, as it is but for what change makes of the claim and for the store, which is the local
// cluster's, and does not wait.
func (s *scene) example(file string, change func(spec map[string]any)) *database {
	s.Helper()
	raw, err := os.ReadFile(project("examples", "claims", file))
	if err != nil {
		s.Fatalf("cannot read the example: %v", err)
	}
	d := &database{scene: s}
	for document := range strings.SplitSeq(string(raw), "\n---\n") {
		object := map[string]any{}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			s.Fatalf("cannot parse example %q: %v", file, err)
		}
		switch u := (unstructured.Unstructured{Object: object}); u.GetKind() {
		case v1alpha1.KindDBCluster:
			d.name = u.GetName()
			if change != nil {
				change(object["spec"].(map[string]any))
			}
		case v1alpha1.KindBackupPlan:
			object["spec"].(map[string]any)["backupLocation"] = s.store()
		}
		s.apply(object)
	}
	return d
}

func (d *database) applySpec() error {
	spec, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&d.spec)
	if err != nil {
		return fmt.Errorf("cannot encode the claim: %w", err)
	}
	return d.tryApply(map[string]any{
		"apiVersion": claimKind().GroupVersion().String(),
		"kind":       claimKind().Kind,
		"metadata":   map[string]any{"name": d.name},
		"spec":       spec,
	})
}

// change applies another spec and does not wait.
func (d *database) change(edit func(spec *v1alpha1.DBClusterSpec)) {
	d.Helper()
	edit(&d.spec)
	if err := d.applySpec(); err != nil {
		d.Fatal(err)
	}
}

// roll applies another spec and waits until it is rolled out.
func (d *database) roll(edit func(spec *v1alpha1.DBClusterSpec)) {
	d.Helper()
	d.change(edit)
	d.waitRolledOut()
}

// refused applies another spec that admission must refuse, and returns what it says.
func (d *database) refused(edit func(spec *v1alpha1.DBClusterSpec)) string {
	d.Helper()
	attempt := database{scene: d.scene, name: d.name, spec: *d.spec.DeepCopy()}
	edit(&attempt.spec)
	err := attempt.applySpec()
	if err == nil {
		d.Fatal("the change was accepted; admission should have refused it")
	}
	if !apierrors.IsInvalid(err) {
		d.Fatalf("the change was refused, but not as invalid: %v", err)
	}
	return err.Error()
}

func (d *database) claim(ctx context.Context) (unstructured.Unstructured, error) {
	claim := unstructured.Unstructured{}
	claim.SetGroupVersionKind(claimKind())
	err := d.kube.Get(ctx, client.ObjectKey{Namespace: d.namespace, Name: d.name}, &claim)
	return claim, err
}

// status is the claim's status.
func (d *database) status() v1alpha1.DBClusterStatus {
	d.Helper()
	claim, err := d.claim(d.Context())
	if err != nil {
		d.Fatalf("cannot read DBCluster %q: %v", d.name, err)
	}
	status, err := statusOf(claim)
	if err != nil {
		d.Fatal(err)
	}
	return status
}

// timeline is the primary's. A standby that starts says nothing of its own.
func (d *database) timeline() int {
	d.Helper()
	status := d.status()
	for _, i := range status.Instances {
		if i.Name == status.Primary {
			return i.Timeline
		}
	}
	d.Fatalf("the primary %q is not among the instances of DBCluster %q", status.Primary, d.name)
	return 0
}

func statusOf(claim unstructured.Unstructured) (v1alpha1.DBClusterStatus, error) {
	decoded := struct {
		Status v1alpha1.DBClusterStatus `json:"status"`
	}{}
	raw, err := claim.MarshalJSON()
	if err != nil {
		return decoded.Status, fmt.Errorf("cannot encode DBCluster %q: %w", claim.GetName(), err)
	}
	if err := json.Unmarshal(raw, &decoded); err != nil {
		return decoded.Status, fmt.Errorf("cannot decode the status of DBCluster %q: %w", claim.GetName(), err)
	}
	return decoded.Status, nil
}

// condition returns one of the claim's conditions, once they have stayed as they are for a moment: Crossplane writes a claim's
// conditions after the rest of its status, by which a test knows that a change is rolled out.
func (d *database) condition(kind string) metav1.Condition {
	d.Helper()
	before, since := d.status().Conditions, time.Now()
	d.eventually(10*time.Second, "The claim's conditions are as they were", func(context.Context) (string, bool) {
		now := d.status().Conditions
		if !reflect.DeepEqual(before, now) {
			before, since = now, time.Now()
		}
		return fmt.Sprint(now), time.Since(since) > settled
	})
	return conditionOf(v1alpha1.DBClusterStatus{Conditions: before}, kind)
}

func conditionOf(status v1alpha1.DBClusterStatus, kind string) metav1.Condition {
	i := slices.IndexFunc(status.Conditions, func(c metav1.Condition) bool { return c.Type == kind })
	if i < 0 {
		return metav1.Condition{Type: kind, Status: metav1.ConditionUnknown, Reason: "Missing"}
	}
	return status.Conditions[i]
}

// waitRolledOut waits until the claim says that its spec, as it is now, is in force, and does not take it for failed on the
// way: Flux would report that.
func (d *database) waitRolledOut() {
	d.Helper()
	d.eventually(rolloutLimit, fmt.Sprintf("The rollout of DBCluster %s is Complete", d.name), func(ctx context.Context) (string, bool) {
		state, said := d.rollout(ctx)
		if state == v1alpha1.RolloutFailed {
			d.Fatalf("The rollout of DBCluster %s failed: %s", d.name, said)
		}
		return said, state == v1alpha1.RolloutComplete
	})
}

// waitRollout waits until the claim says that the rollout of its spec, as it is now, has come to the end that is wanted:
// that what made it fail was put right elsewhere, for example.
func (d *database) waitRollout(want v1alpha1.RolloutState) {
	d.Helper()
	d.eventually(rolloutLimit, fmt.Sprintf("The rollout of DBCluster %s is %s", d.name, want), func(ctx context.Context) (string, bool) {
		state, said := d.rollout(ctx)
		return said, state == want
	})
}

// rollout returns what the claim says of the rollout of its spec, as it is now, and all of it to be told. The state is empty
// while the claim is about another spec, or its conditions do not agree yet: Crossplane writes them after the rest.
func (d *database) rollout(ctx context.Context) (v1alpha1.RolloutState, string) {
	claim, err := d.claim(ctx)
	if err != nil {
		return "", err.Error()
	}
	status, err := statusOf(claim)
	if err != nil || status.Rollout == nil {
		return "", "no rollout in its status yet; " + conditions(claim)
	}
	said := fmt.Sprintf("%s: %s; %s", status.Rollout.State, status.Rollout.Message, conditions(claim))
	if !isAbout(claim, *status.Rollout) {
		return "", "the status is still about another spec; " + said
	}
	for kind, state := range map[string]v1alpha1.RolloutState{
		v1alpha1.ConditionReconciling: v1alpha1.RolloutProgressing, v1alpha1.ConditionStalled: v1alpha1.RolloutFailed,
	} {
		is := conditionOf(status, kind).Status == metav1.ConditionTrue
		if is != (status.Rollout.State == state) {
			return "", "the conditions do not agree yet; " + said
		}
	}
	return status.Rollout.State, said
}

// isAbout says whether a rollout is that of the claim's spec. Flux compares them in the same way.
func isAbout(claim unstructured.Unstructured, rollout v1alpha1.RolloutStatus) bool {
	spec, _, err := unstructured.NestedMap(claim.Object, "spec")
	if err != nil {
		return false
	}
	for _, machinery := range []string{
		"compositionRef", "compositionSelector", "compositionRevisionRef", "compositionRevisionSelector", "compositionUpdatePolicy",
		"compositeDeletePolicy", "resourceRef", "writeConnectionSecretToRef", "publishConnectionDetailsTo",
	} {
		delete(spec, machinery)
	}
	observed := map[string]any{}
	if err := json.Unmarshal(rollout.ObservedSpec.Raw, &observed); err != nil {
		return false
	}
	return reflect.DeepEqual(normal(spec), observed)
}

// normal returns a value as encoding/json would decode it.
func normal(value map[string]any) map[string]any {
	raw, err := json.Marshal(value)
	if err != nil {
		return nil
	}
	out := map[string]any{}
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil
	}
	return out
}

func conditions(object unstructured.Unstructured) string {
	entries, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	said := make([]string, 0, len(entries))
	for _, entry := range entries {
		c, ok := entry.(map[string]any)
		if !ok {
			continue
		}
		said = append(said, fmt.Sprintf("%v=%v %v (%v)", c["type"], c["status"], c["reason"], c["message"]))
	}
	return strings.Join(said, ", ")
}

// cluster names what the claim becomes.
func (d *database) cluster() naming.Cluster {
	return naming.Cluster{Namespace: d.namespace, Name: d.name}
}

// pod is the name of the only instance's Pod.
func (d *database) pod() string { return d.cluster().Pod(0) }

func (d *database) volume() string { return d.cluster().DataVolume(0) }

// composite returns the composite resource behind the claim.
func (d *database) composite() *unstructured.Unstructured {
	d.Helper()
	claim, err := d.claim(d.Context())
	if err != nil {
		d.Fatalf("cannot read DBCluster %q: %v", d.name, err)
	}
	name, _, _ := unstructured.NestedString(claim.Object, "spec", "resourceRef", "name")
	composite := &unstructured.Unstructured{}
	composite.SetGroupVersionKind(compositeKind())
	if err := d.kube.Get(d.Context(), client.ObjectKey{Name: name}, composite); err != nil {
		d.Fatalf("cannot read the composite of DBCluster %q: %v", d.name, err)
	}
	return composite
}

// connection returns the connection Secret.
func (d *database) connection() map[string]string {
	d.Helper()
	binding := d.status().Binding
	if binding == nil {
		d.Fatalf("DBCluster %q has no status.binding", d.name)
	}
	return d.secretData(binding.Name)
}

func (s *scene) secretData(name string) map[string]string {
	s.Helper()
	secret := &corev1.Secret{}
	s.get(secret, name)
	data := make(map[string]string, len(secret.Data))
	for key, value := range secret.Data {
		data[key] = string(value)
	}
	return data
}

// inDatabase runs a shell script in the database's container, as a person with kubectl exec would.
func (d *database) inDatabase(script string) (string, error) {
	return d.inInstance(d.pod(), script)
}

// inInstance is inDatabase for a database of several instances.
func (d *database) inInstance(pod, script string) (string, error) {
	out, err := d.exec(d.Context(), pod, "database", "", "sh", "-ec", script)
	return strings.TrimSpace(out), err
}

// mustInDatabase is inDatabase for what must work.
func (d *database) mustInDatabase(script string) string {
	d.Helper()
	out, err := d.inDatabase(script)
	if err != nil {
		d.Fatal(err)
	}
	return out
}

// local runs a statement over the database's own socket, for what only the administrator of the machine sees.
func (d *database) local(statement string) string {
	d.Helper()
	return d.mustInDatabase("psql -XqAt -v ON_ERROR_STOP=1 -c " + quote(statement))
}

// show returns the value of a setting.
func (d *database) show(setting string) string {
	d.Helper()
	return d.local("show " + setting)
}

// delete deletes the claim and waits until it and its Pods are gone.
func (d *database) delete() {
	d.Helper()
	claim, err := d.claim(d.Context())
	if err != nil {
		d.Fatalf("cannot read DBCluster %q: %v", d.name, err)
	}
	if err := d.kube.Delete(d.Context(), &claim); err != nil {
		d.Fatalf("cannot delete DBCluster %q: %v", d.name, err)
	}
	d.waitDeleted()
}

// waitDeleted waits until the claim and everything but its volumes is gone.
func (d *database) waitDeleted() {
	d.Helper()
	d.eventually(removalLimit, "DBCluster "+d.name+" is gone with all but its volumes", func(ctx context.Context) (string, bool) {
		claim, err := d.claim(ctx)
		if !apierrors.IsNotFound(err) {
			return fmt.Sprintf("the claim is there (%v): %s", err, conditions(claim)), false
		}
		sets := &appsv1.StatefulSetList{}
		pods := &corev1.PodList{}
		mine := []client.ListOption{client.InNamespace(d.namespace), client.MatchingLabels(d.cluster().Selector())}
		for _, list := range []client.ObjectList{sets, pods} {
			if err := d.kube.List(ctx, list, mine...); err != nil {
				return err.Error(), false
			}
		}
		return fmt.Sprintf("%d StatefulSets and %d Pods are there", len(sets.Items), len(pods.Items)), len(sets.Items)+len(pods.Items) == 0
	})
}

// removeNow deletes the claim, protected or not, and its volumes. It is how a test cleans up: it asserts nothing.
func (d *database) removeNow(ctx context.Context) error {
	claim, err := d.claim(ctx)
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	if claim.GetDeletionTimestamp() == nil {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"deletionProtection":false,"volumeRetentionPolicy":"Delete"}}`))
		if err := d.kube.Patch(ctx, &claim, patch); err != nil {
			return fmt.Errorf("cannot lift the protection of DBCluster %q: %w", d.name, err)
		}
	}
	return d.gone(ctx, &claim)
}

// sameSize says whether two quantities are the same.
func sameSize(a, b string) bool {
	x, err := resource.ParseQuantity(a)
	if err != nil {
		return false
	}
	y, err := resource.ParseQuantity(b)
	return err == nil && x.Cmp(y) == 0
}

// quote makes one word of a text for the shell.
func quote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// ago says how long something took, for the log of a test.
func ago(start time.Time) time.Duration { return time.Since(start).Round(10 * time.Millisecond) }

// waitClaimGone waits until the claim itself is gone. What it became may still be on its way out.
func (d *database) waitClaimGone() {
	d.Helper()
	d.eventually(removalLimit, "DBCluster "+d.name+" is gone", func(ctx context.Context) (string, bool) {
		claim, err := d.claim(ctx)
		return fmt.Sprintf("%v; %s", err, conditions(claim)), apierrors.IsNotFound(err)
	})
}
