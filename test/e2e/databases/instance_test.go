//go:build e2e

package databases

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/pods"
)

// TestInstance looks at one database as an application, as Prometheus and as a security officer would.
func TestInstance(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	d := s.create("plain", smallSpec("17"))
	d.checkBinding()
	d.checkEncrypted()
	d.checkMetrics()
	d.checkPrivileges()
	d.checkVolumeHeld()
	d.checkRights()
	d.checkNetworkPolicy()
	d.get(&policyv1.PodDisruptionBudget{}, d.cluster().PodDisruptionBudget())
	s.checkWrongImage(d.image())
}

// image returns what the instances run.
func (d *database) image() string {
	d.Helper()
	pod := &corev1.Pod{}
	d.get(pod, d.pod())
	for _, c := range pod.Spec.Containers {
		if c.Name == pods.ContainerDatabase {
			return c.Image
		}
	}
	d.Fatal("the Pod has no container with the database")
	return ""
}

// checkWrongImage creates a database whose image has only another version, and corrects that.
func (s *scene) checkWrongImage(of17 string) {
	s.Helper()
	spec := smallSpec("15")
	spec.DatabaseImage = of17
	d := s.start("wrong-image", spec)
	d.waitIncident(instance.IncidentEquipmentMissing, "the image has no PostgreSQL 15")
	d.change(func(spec *v1alpha1.DBClusterSpec) { spec.DatabaseImage = "" })
	d.waitRolledOut()
}

// checkBinding checks the connection Secret: its keys are those of the Service Binding specification, and each way to
// connect that it offers works. There is no passwordRef, so the password was made.
func (d *database) checkBinding() {
	d.Helper()
	if said := d.condition(v1alpha1.ConditionCredentialsReady); said.Reason != v1alpha1.ReasonPasswordGenerated {
		d.Errorf("CredentialsReady is %s (%s); want %s", said.Reason, said.Message, v1alpha1.ReasonPasswordGenerated)
	}
	secret := &corev1.Secret{}
	d.get(secret, d.status().Binding.Name)
	if secret.Type != "servicebinding.io/postgresql" {
		d.Errorf("the connection Secret is of type %q; want servicebinding.io/postgresql", secret.Type)
	}
	binding := d.connection()
	for key, want := range map[string]string{
		"type": "postgresql", "provider": "xdbcluster", "host": d.cluster().Host(), "port": "5432", "username": "postgres", "database": "postgres",
	} {
		if binding[key] != want {
			d.Errorf("the connection Secret has %s %q; want %q", key, binding[key], want)
		}
	}
	if len(binding["password"]) < 20 || binding["certificates"] == "" {
		d.Error("the connection Secret lacks a strong password or the authority's certificate")
	}
	if got := d.sql("select current_user"); got != "postgres" {
		d.Errorf("with the keys of the Secret one is %q", got)
	}
	byURI := connectScript(binding) + "unset PGPASSWORD\nexport PGSSLROOTCERT=/tmp/ca.$$\npsql -XqAt " + quote(binding["uri"]) + " -c 'select current_user'\n"
	if out, err := d.exec(d.Context(), clientPod, "psql", byURI, "sh", "-es"); strings.TrimSpace(out) != "postgres" {
		d.Errorf("with the uri of the Secret one is %q, %v", out, err)
	}
}

// checkEncrypted checks that no client gets in without TLS, nor with a wrong password.
func (d *database) checkEncrypted() {
	d.Helper()
	connection := d.connection()
	plain := connectScript(connection) + "psql -XqAt \"host=" + connection["host"] + " user=postgres sslmode=disable\" -c 'select 1'\n"
	if out, err := d.exec(d.Context(), clientPod, "psql", plain, "sh", "-es"); err == nil {
		d.Errorf("one can connect without TLS: %q", out)
	}
	connection["password"] = "wrong"
	if out, err := d.psql(connection, "select 1"); err == nil {
		d.Errorf("one can connect with a wrong password: %q", out)
	}
}

// checkMetrics reads the metrics as Prometheus does: through the network, from the Pod's port.
func (d *database) checkMetrics() {
	d.Helper()
	d.application(d.namespace)
	pod := d.runningPod()
	// The image has no HTTP client; bash speaks TCP.
	script := fmt.Sprintf(`exec 3<>/dev/tcp/%s/%d; printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3; grep -E '^pg_(up|settings_max_connections)' <&3`, pod.Status.PodIP, instance.PortMetrics)
	out, err := d.exec(d.Context(), clientPod, "psql", "", "bash", "-c", script)
	if err != nil || !strings.Contains(out, "pg_up 1") || !strings.Contains(out, "pg_settings_max_connections") {
		d.Errorf("metrics say %q, %v; want pg_up 1 and PostgreSQL's settings", out, err)
	}
}

func (d *database) runningPod() *corev1.Pod {
	d.Helper()
	pod := &corev1.Pod{}
	d.get(pod, d.pod())
	return pod
}

// checkPrivileges checks what the processes really are, not only what the Pod's spec says.
func (d *database) checkPrivileges() {
	d.Helper()
	pod := d.runningPod()
	for _, container := range []string{"database", "metrics"} {
		out, err := d.exec(d.Context(), pod.Name, container, "", "sh", "-c", "id -u; grep -E '^(CapEff|CapPrm|CapBnd|NoNewPrivs|Seccomp):' /proc/1/status; touch /written 2>/dev/null && echo writable; true")
		if err != nil {
			d.Fatal(err)
		}
		said := strings.Join(strings.Fields(out), " ")
		const none = "0000000000000000"
		for _, want := range []string{"999 ", "CapPrm: " + none, "CapEff: " + none, "CapBnd: " + none, "NoNewPrivs: 1", "Seccomp: 2"} {
			if !strings.Contains(said, want) {
				d.Errorf("container %q: want %q in %q", container, want, said)
			}
		}
		if strings.Contains(said, "writable") {
			d.Errorf("container %q has a root file system that can be written to", container)
		}
	}
	for _, volume := range pod.Spec.Volumes {
		if volume.Secret != nil && volume.Secret.SecretName == d.cluster().Authority(1) {
			d.Error("the Pod mounts the authority's key")
		}
	}
}

// checkVolumeHeld checks that no other process gets the volume while the instance runs.
func (d *database) checkVolumeHeld() {
	d.Helper()
	if out := d.mustInDatabase("flock --nonblock " + instance.FolderVolume + "/.lock echo free || echo held"); out != "held" {
		d.Errorf("the data volume is %s while the instance runs; want that its agent holds it", out)
	}
}

// checkRights checks that an instance reads no Secret through the API, and none but its own ConfigMaps.
func (d *database) checkRights() {
	d.Helper()
	const ask = `token=$(cat /var/run/secrets/kubernetes.io/serviceaccount/token)
for path in secrets secrets/%[1]s-connection configmaps/kube-root-ca.crt configmaps/%[1]s-config configmaps; do
  python3 - "$path" "$token" <<'PY'
import os, ssl, sys, urllib.request, urllib.error
context = ssl.create_default_context(cafile="/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
url = "https://%%s:%%s/api/v1/namespaces/%[2]s/%%s" %% (os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"], sys.argv[1])
try:
    code = urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": "Bearer " + sys.argv[2]}), context=context).status
except urllib.error.HTTPError as e:
    code = e.code
print(sys.argv[1], code)
PY
done`
	got := d.mustInDatabase(fmt.Sprintf(ask, d.name, d.namespace))
	want := fmt.Sprintf("secrets 403\nsecrets/%[1]s-connection 403\nconfigmaps/kube-root-ca.crt 403\nconfigmaps/%[1]s-config 200\nconfigmaps 200", d.name)
	if got != want {
		d.Errorf("an instance may read:\n%s\nwant:\n%s", got, want)
	}
}

// checkNetworkPolicy checks who can connect: Pods of the namespace, and all others only when the claim says so.
func (d *database) checkNetworkPolicy() {
	d.Helper()
	if !d.enforcesPolicies() {
		d.Log("This cluster is not known to enforce NetworkPolicies: not checked")
		return
	}
	elsewhere := d.namespace + "-others"
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: elsewhere}}
	if err := d.kube.Create(d.Context(), namespace); client.IgnoreAlreadyExists(err) != nil {
		d.Fatalf("cannot create namespace %q: %v", elsewhere, err)
	}
	d.Cleanup(func() { d.removeNamespace(namespace) })
	d.application(d.namespace)
	d.application(elsewhere)

	d.waitReach(d.namespace, true)
	d.waitReach(elsewhere, false)
	d.roll(func(spec *v1alpha1.DBClusterSpec) { spec.AllowExternalIncomingTraffic = true })
	d.waitReach(elsewhere, true)
	d.roll(func(spec *v1alpha1.DBClusterSpec) { spec.AllowExternalIncomingTraffic = false })
	d.waitReach(elsewhere, false)
}
