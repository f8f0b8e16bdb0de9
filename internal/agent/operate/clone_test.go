package operate

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
)

// TestCloneOf shows what a copy has from its source, and what it does not.
func TestCloneOf(t *testing.T) {
	protected := true
	source := &v1alpha1.DBCluster{
		ObjectMeta: metav1.ObjectMeta{Name: "orders", UID: "1", Annotations: map[string]string{"kustomize.toolkit.fluxcd.io/prune": "Enabled"}},
		Spec: v1alpha1.DBClusterSpec{
			DeletionProtection: &protected,
			TLS:                &v1alpha1.TLSSpec{CertSecret: v1alpha1.SecretReference{Name: "orders-tls"}},
			IfBackupsExist:     v1alpha1.BackupsRestored,
			PrimarySpec: v1alpha1.PrimarySpec{
				Version: "17", IsStopped: true,
				AdminUser:  &v1alpha1.AdminUserSpec{PasswordRef: &v1alpha1.SecretReference{Name: "orders-password"}},
				Parameters: map[string]string{"work_mem": "16MB"},
				Resources:  v1alpha1.ResourcesSpec{Disks: []v1alpha1.DiskSpec{{Name: v1alpha1.DataDisk, Size: resource.MustParse("10Gi"), StorageClass: "fast", VolumeName: "pv-7"}}},
			},
		},
	}
	target := v1alpha1.RestoreTarget{Incarnation: "0123456789abcdef", PointInTime: "2026-11-23T14:59:59.5Z"}
	want := &v1alpha1.DBCluster{
		ObjectMeta: metav1.ObjectMeta{Name: "orders-copy"},
		Spec: v1alpha1.DBClusterSpec{
			DeletionProtection: &protected,
			Bootstrap:          &v1alpha1.BootstrapSpec{Restore: v1alpha1.RestoreSpec{SourceDBCluster: "orders", RestoreTarget: target}},
			PrimarySpec: v1alpha1.PrimarySpec{
				Version: "17", Parameters: map[string]string{"work_mem": "16MB"},
				Resources: v1alpha1.ResourcesSpec{Disks: []v1alpha1.DiskSpec{{Name: v1alpha1.DataDisk, Size: resource.MustParse("10Gi"), StorageClass: "fast"}}},
			},
		},
	}
	before := source.DeepCopy()
	if diff := cmp.Diff(want, cloneOf(source, "orders-copy", target)); diff != "" {
		t.Errorf("cloneOf(...): -want, +got:\n%s", diff)
	}
	if diff := cmp.Diff(before, source); diff != "" {
		t.Errorf("cloneOf(...) changed the source:\n%s", diff)
	}
}

func TestCloned(t *testing.T) {
	started := time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC)
	o := &Operator{hash: "f00d", operation: instance.Operation{Name: "look", Restore: &instance.RestoreTask{Clone: "orders-copy", Timeout: time.Hour}}}
	begun := instance.OperationReport{Phase: v1alpha1.OperationInProgress, Reason: reasonCloning, StartedAt: &started, Message: "It begins."}
	copied := func(by string, status v1alpha1.DBClusterStatus) *v1alpha1.DBCluster {
		return &v1alpha1.DBCluster{ObjectMeta: metav1.ObjectMeta{Name: "orders-copy", Annotations: map[string]string{naming.AnnotationClonedBy: by}}, Status: status}
	}
	incident := func(code string) v1alpha1.DBClusterStatus {
		return v1alpha1.DBClusterStatus{CriticalIncidents: []v1alpha1.CriticalIncident{{Code: code, Message: "Said."}}}
	}
	type want struct {
		Phase   v1alpha1.OperationPhase
		Reason  string
		Message string
		Primary string
	}
	cases := map[string]struct {
		reason string
		copied *v1alpha1.DBCluster
		after  time.Duration
		want   want
	}{
		"NotThere": {
			reason: "What is not there may have been deleted: it is not created again.",
			want:   want{Phase: v1alpha1.OperationFailed, Reason: reasonNotCarriedOut, Message: "The DBCluster orders-copy is not there: it was not created, or it was deleted since."},
		},
		"SomebodyElses": {
			reason: "A DBCluster that somebody else created is not taken for the copy.",
			copied: copied("look.beef", v1alpha1.DBClusterStatus{Primary: "orders-copy-0", Rollout: &v1alpha1.RolloutStatus{State: v1alpha1.RolloutComplete}}),
			want:   want{Phase: v1alpha1.OperationFailed, Reason: reasonCloneExists, Message: "Somebody else created a DBCluster orders-copy meanwhile."},
		},
		"Begins": {
			reason: "It is in progress until the copy serves.",
			copied: copied("look.f00d", v1alpha1.DBClusterStatus{Rollout: &v1alpha1.RolloutStatus{State: v1alpha1.RolloutProgressing}}),
			want:   want{Phase: v1alpha1.OperationInProgress, Reason: reasonCloning, Message: "It begins."},
		},
		"Serves": {
			reason: "It is done when the copy has a primary and is rolled out.",
			copied: copied("look.f00d", v1alpha1.DBClusterStatus{Primary: "orders-copy-0", Rollout: &v1alpha1.RolloutStatus{State: v1alpha1.RolloutComplete}, Binding: &v1alpha1.SecretReference{Name: "orders-copy-connection"}}),
			want:   want{Phase: v1alpha1.OperationSucceeded, Primary: "orders-copy-0", Message: "The DBCluster orders-copy serves the restored database, with credentials of its own in the Secret orders-copy-connection."},
		},
		"Refused": {
			reason: "What is not in the archive cannot be restored, however long one waits.",
			copied: copied("look.f00d", incident(instance.IncidentRestoreRefused)),
			want:   want{Phase: v1alpha1.OperationFailed, Reason: reasonTargetMissing, Message: "Said."},
		},
		"Fails": {
			reason: "A store that does not answer may answer later, and who waits is told.",
			copied: copied("look.f00d", incident(instance.IncidentRestoreFails)),
			want:   want{Phase: v1alpha1.OperationInProgress, Reason: reasonCloning, Message: "Said."},
		},
		"TimedOut": {
			reason: "Nothing stays in progress for ever.",
			copied: copied("look.f00d", incident(instance.IncidentRestoreFails)),
			after:  61 * time.Minute,
			want:   want{Phase: v1alpha1.OperationFailed, Reason: reasonTimedOut, Message: "The DBCluster orders-copy was not there within 1h0m0s."},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := o.cloned(begun, tc.copied, started.Add(tc.after))
			got := want{Phase: r.Phase, Reason: r.Reason, Message: r.Message, Primary: r.NewPrimary}
			if strings.HasPrefix(got.Message, tc.want.Message) {
				got.Message = tc.want.Message
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\ncloned(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestCopyIsWrittenDownBeforeItIsTold kills an operation between the copy's completion and the ledger: whoever deletes a claim that
// says Succeeded, and commits it again, is to be told the same, and not that nothing was carried out.
func TestCopyIsWrittenDownBeforeItIsTold(t *testing.T) {
	started := time.Now()
	cluster := naming.Cluster{Namespace: "shop", Name: "orders"}
	ctx, kill := context.WithCancel(t.Context())
	api := fake.NewClientset(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: cluster.Ledger(), ResourceVersion: "1"}})
	api.PrependReactor("update", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		kill()
		return true, nil, errors.New("the process is killed")
	})
	claims := dynamicfake.NewSimpleDynamicClient(runtime.NewScheme(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion().String(), "kind": v1alpha1.KindDBCluster,
		"metadata": map[string]any{"namespace": cluster.Namespace, "name": "orders-copy", "annotations": map[string]any{naming.AnnotationClonedBy: "look.f00d"}},
		"status":   map[string]any{"primary": "orders-copy-0", "rollout": map[string]any{"state": string(v1alpha1.RolloutComplete)}},
	}})
	o := &Operator{
		hash: "f00d", operation: instance.Operation{Name: "look", Restore: &instance.RestoreTask{Clone: "orders-copy", Timeout: time.Hour}},
		kube: kube.With(api, claims, cluster, "look-1"), log: slog.New(slog.DiscardHandler),
	}
	done := o.awaitClone(ctx, instance.OperationReport{Phase: v1alpha1.OperationInProgress, StartedAt: &started}, nil)
	if done.Phase != v1alpha1.OperationSucceeded {
		t.Fatalf("the copy is %s: %s", done.Phase, done.Message)
	}
	if err := o.conclude(ctx, done); !errors.Is(err, context.Canceled) {
		t.Errorf("conclude(...): %v; want that it was killed", err)
	}
	for _, action := range api.Actions() {
		if action.GetVerb() == "patch" {
			t.Errorf("the outcome was told before it was written down: %s", action.(clienttesting.PatchAction).GetPatch())
		}
	}
}
