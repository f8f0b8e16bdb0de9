//go:build e2e

package databases

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// clientPod is the name of the Pod that connects to databases as an application would.
const clientPod = "client"

// application starts the Pod that statements are run from, if it is not there: in the database's namespace, or in another. It says
// whether the Pod is new.
func (d *database) application(namespace string) bool {
	d.Helper()
	set := &appsv1.StatefulSet{}
	d.get(set, d.cluster().StatefulSet())
	user, yes, no, seconds := int64(999), true, false, int64(0)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: clientPod, Namespace: namespace},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &seconds,
			AutomountServiceAccountToken:  &no,
			EnableServiceLinks:            &no,
			// The other nodes are for faults.
			NodeSelector: map[string]string{corev1.LabelHostname: d.firstNode()},
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name:         "psql",
				Image:        set.Spec.Template.Spec.Containers[0].Image,
				Command:      []string{"sleep", "infinity"},
				VolumeMounts: []corev1.VolumeMount{{Name: "tmp", MountPath: "/tmp"}},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
			Volumes: []corev1.Volume{{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		},
	}
	err := d.kube.Create(d.Context(), pod)
	if err != nil && !apierrors.IsAlreadyExists(err) {
		d.Fatalf("cannot create the Pod of an application: %v", err)
	}
	d.eventually(rolloutLimit, "The application's Pod runs", func(ctx context.Context) (string, bool) {
		if err := d.kube.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
			return err.Error(), false
		}
		return fmt.Sprintf("%s %v", pod.Status.Phase, pod.Status.ContainerStatuses), pod.Status.Phase == corev1.PodRunning
	})
	return err == nil
}

func (s *scene) firstNode() string {
	s.Helper()
	nodes := &corev1.NodeList{}
	if err := s.kube.List(s.Context(), nodes); err != nil || len(nodes.Items) == 0 {
		s.Fatalf("cannot list nodes: %v", err)
	}
	return slices.MinFunc(nodes.Items, func(a, b corev1.Node) int { return strings.Compare(a.Name, b.Name) }).Labels[corev1.LabelHostname]
}

// psql runs statements with psql from the application's Pod, over TLS and with a proof of the server's name, with what a
// connection Secret holds.
func (d *database) psql(connection map[string]string, statements string) (string, error) {
	d.Helper()
	if d.application(d.namespace) {
		// What enforces NetworkPolicies refuses a new Pod until it has seen the Pod's address: a second here, longer on a busy machine.
		d.waitReach(d.namespace, true)
	}
	out, err := d.exec(d.Context(), clientPod, "psql", psqlScript(connection, statements), "sh", "-es")
	return strings.TrimSpace(out), err
}

// sql is psql with the database's own connection Secret, for what must work.
func (d *database) sql(statements string) string {
	d.Helper()
	out, err := d.psql(d.connection(), statements)
	if err != nil {
		d.Fatal(err)
	}
	return out
}

// psqlScript leaves the password out of all arguments.
func psqlScript(connection map[string]string, statements string) string {
	return connectScript(connection) + fmt.Sprintf("psql -XqAt -v ON_ERROR_STOP=1 \"$DSN\" <<'SQL'\n%s\nSQL\n", statements)
}

// connectScript prepares a shell for psql "$DSN".
func connectScript(c map[string]string) string {
	dsn := fmt.Sprintf("host=%s port=%s user=%s dbname=%s sslmode=verify-full sslrootcert=/tmp/ca.$$", c["host"], c["port"], c["username"], c["database"])
	return fmt.Sprintf("cat >/tmp/ca.$$ <<'CA'\n%s\nCA\nexport PGPASSWORD=%s PGCONNECT_TIMEOUT=3\nDSN=\"%s\"\n", c["ca.crt"], quote(c["password"]), dsn)
}

// reach says whether a TCP connection to the database can be made from the application's Pod of a namespace.
func (d *database) reach(ctx context.Context, namespace string) (bool, error) {
	elsewhere := *d.scene
	elsewhere.namespace = namespace
	out, err := elsewhere.exec(ctx, clientPod, "psql", "", "pg_isready", "-h", d.cluster().Host(), "-t", "2")
	if err == nil {
		return true, nil
	}
	if strings.Contains(out, "no response") {
		return false, nil
	}
	return false, fmt.Errorf("%w: %s", err, bytes.TrimSpace([]byte(out)))
}

// waitReach waits until the database can be reached from a namespace, or cannot.
func (d *database) waitReach(namespace string, want bool) {
	d.Helper()
	d.eventually(time.Minute, fmt.Sprintf("The database can be reached from namespace %s: %t", namespace, want), func(ctx context.Context) (string, bool) {
		reached, err := d.reach(ctx, namespace)
		return fmt.Sprintf("reached: %t, %v", reached, err), err == nil && reached == want
	})
}

// waitPassword waits until the connection Secret has a password.
func (d *database) waitPassword(want string) {
	d.Helper()
	d.eventually(rolloutLimit, "The connection Secret has the new password", func(context.Context) (string, bool) {
		return "it has another one", d.connection()["password"] == want
	})
}

// waitLogin waits until what the connection Secret says works.
func (d *database) waitLogin() {
	d.Helper()
	d.eventually(rolloutLimit, "One can log in with the connection Secret", func(context.Context) (string, bool) {
		out, err := d.psql(d.connection(), "select 1")
		return fmt.Sprintf("%s %v", out, err), out == "1"
	})
}

// checkServes waits until a client that trusts only the authority of a Secret gets an answer through -rw.
func (d *database) checkServes(certificate map[string]string) {
	d.Helper()
	d.eventually(rolloutLimit, "The certificate of the Secret is served", func(context.Context) (string, bool) {
		connection := d.connection()
		connection["ca.crt"] = certificate["ca.crt"]
		out, err := d.psql(connection, "select 1")
		return fmt.Sprintf("%s %v", out, err), out == "1"
	})
	if d.connection()["ca.crt"] != certificate["ca.crt"] {
		d.Error("the connection Secret names another authority than the one whose certificate is served")
	}
}

// waitOtherPod waits until the instance's Pod is another one than before, and ready.
func (d *database) waitOtherPod(before *corev1.Pod) {
	d.Helper()
	d.eventually(rolloutLimit, "A new Pod "+before.Name+" is ready", func(ctx context.Context) (string, bool) {
		pod := &corev1.Pod{}
		if err := d.kube.Get(ctx, client.ObjectKeyFromObject(before), pod); err != nil {
			return err.Error(), false
		}
		return fmt.Sprintf("the Pod before: %t, conditions %v", pod.UID == before.UID, pod.Status.Conditions), pod.UID != before.UID && isReady(pod)
	})
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// waitFenced waits until PostgreSQL is another one than now: a primary whose Patroni is stalled is killed.
func (d *database) waitFenced() {
	d.Helper()
	before := d.local("select pg_postmaster_start_time()")
	d.eventually(rolloutLimit, "PostgreSQL was killed and started again", func(context.Context) (string, bool) {
		out, err := d.inDatabase("psql -XqAt -c 'select pg_postmaster_start_time()'")
		return fmt.Sprintf("%s, %v", out, err), err == nil && out != "" && out != before
	})
}
