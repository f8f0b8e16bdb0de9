//go:build e2e

package e2e

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	before = "320Mi"
	after  = "640Mi"
)

func (w world) claim(name, class string) *corev1.PersistentVolumeClaim {
	w.t.Helper()
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(before)}},
		},
	}
	if class != "" {
		c.Spec.StorageClassName = &class
	}
	w.create(c)
	return c
}

func mounting(claim string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	}
}

func (w world) grow(c *corev1.PersistentVolumeClaim) error {
	change := client.MergeFrom(c.DeepCopy())
	c.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse(after)
	return w.Patch(w.t.Context(), c, change)
}

func (w world) size(pod string) int64 {
	w.t.Helper()
	size, err := strconv.ParseInt(w.mustProbe(pod, "size", "/data"), 10, 64)
	if err != nil {
		w.t.Fatal(err)
	}
	return size
}

func TestVolumesHaveASizeAndGrow(t *testing.T) {
	w := newWorld(t)
	start := time.Now()
	c := w.claim("data", "")
	w.pod("user", mounting("data"))
	t.Logf("From claim to a ready Pod: %s", time.Since(start).Round(10*time.Millisecond))
	w.mustProbe("user", "write", "/data/note", "kept")
	small := w.size("user")
	w.mustProbe("user", "fill", "/data")

	start = time.Now()
	if err := w.grow(c); err != nil {
		t.Fatalf("cannot grow a volume: %v", err)
	}
	w.eventually("the file system has grown under its Pod", func() error {
		if now := w.size("user"); now < small*3/2 {
			return fmt.Errorf("it has %d bytes and had %d", now, small)
		}
		return nil
	})
	t.Logf("From a larger claim to a larger file system: %s", time.Since(start).Round(10*time.Millisecond))

	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "user"}}
	if err := w.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	w.pod("next", mounting("data"))
	if got := w.mustProbe("next", "read", "/data/note"); got != "kept" {
		t.Errorf("The next Pod reads %q from the volume.", got)
	}
}

func TestVolumesOfAFixedClassDoNotGrow(t *testing.T) {
	w := newWorld(t)
	const class = "local-loop-fixed"
	c := w.claim("data", class)
	w.pod("user", mounting("data"))
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(c), c); err != nil {
		t.Fatal(err)
	}
	if err := w.grow(c); !apierrors.IsForbidden(err) {
		t.Errorf("Growing a volume of class %q is not refused: %v", class, err)
	}
}
