package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// An application is a Pod that is there already when a database comes up, and connects to it as applications do: over TLS,
// to the -rw Service, with what is in the connection Secret.
type application struct {
	*bench

	pod *corev1.Pod
}

// withApplication starts an application in a namespace, and ends it after what is done with it.
func (b *bench) withApplication(ctx context.Context, namespace string, do func(ctx context.Context, a application) error) error {
	image, err := b.databaseImage(ctx, smallSpec().PrimarySpec.Version)
	if err != nil {
		return err
	}
	a := application{bench: b, pod: applicationPod(namespace, image)}
	if err := b.Client.Create(ctx, a.pod); err != nil {
		return fmt.Errorf("cannot create the Pod of an application: %w", err)
	}
	run := func(ctx context.Context) error {
		if err := a.waitRunning(ctx); err != nil {
			return err
		}
		return do(ctx, a)
	}
	return cleanly(ctx, run, func(ctx context.Context) error {
		return client.IgnoreNotFound(b.Client.Delete(ctx, a.pod))
	})
}

// databaseImage returns the image of a version of PostgreSQL, which has psql in it and is to be present on the node.
func (b *bench) databaseImage(ctx context.Context, version string) (string, error) {
	kind := schema.GroupVersionKind{Group: "apiextensions.crossplane.io", Version: "v1", Kind: "Composition"}
	composition, err := b.get(ctx, kind, client.ObjectKey{Name: "xdbclusters.xdbcluster.io"})
	if err != nil {
		return "", err
	}
	pipeline, _, _ := unstructured.NestedSlice(composition.Object, "spec", "pipeline")
	for _, step := range pipeline {
		fields, _ := step.(map[string]any)
		if image, ok, _ := unstructured.NestedString(fields, "input", "images", version); ok {
			return image, nil
		}
	}
	return "", fmt.Errorf("the Composition names no image of PostgreSQL %s", version)
}

func applicationPod(namespace, image string) *corev1.Pod {
	user, yes, no, seconds := int64(999), true, false, int64(0)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "application-", Namespace: namespace},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &seconds,
			AutomountServiceAccountToken:  &no,
			EnableServiceLinks:            &no,
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name:         "psql",
				Image:        image,
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
}

func (a application) waitRunning(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	return until(ctx, interval, "the application's Pod runs", func(ctx context.Context) (string, bool) {
		err := a.Client.Get(ctx, client.ObjectKeyFromObject(a.pod), a.pod)
		return fmt.Sprintf("%s, %v", a.pod.Status.Phase, err), err == nil && a.pod.Status.Phase == corev1.PodRunning
	})
}

// sql runs statements against a claim's database and returns what psql printed.
func (a application) sql(ctx context.Context, claim client.ObjectKey, statements string) (string, error) {
	connection, err := a.connection(ctx, claim)
	if err != nil {
		return "", err
	}
	out, err := a.shell(ctx, psqlScript(connection, statements))
	return strings.TrimSpace(out), err
}

// connection reads a claim's connection Secret.
func (a application) connection(ctx context.Context, key client.ObjectKey) (map[string][]byte, error) {
	claim, err := a.Claim(ctx, key)
	if err != nil {
		return nil, err
	}
	name := text(&claim, "status", "binding", "name")
	if name == "" {
		return nil, errors.New("there is no connection Secret yet: status.binding is empty")
	}
	secret := &corev1.Secret{}
	if err := a.Client.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: name}, secret); err != nil {
		return nil, fmt.Errorf("cannot read the connection Secret: %w", err)
	}
	return secret.Data, nil
}

// psqlScript leaves the password out of all arguments. The server must prove that it is the host that was asked for.
func psqlScript(c map[string][]byte, statements string) string {
	return fmt.Sprintf(`cat >/tmp/ca.crt <<'CA'
%s
CA
export PGPASSWORD=%s PGCONNECT_TIMEOUT=3
psql -XqAt -v ON_ERROR_STOP=1 "host=%s port=%s user=%s dbname=%s sslmode=verify-full sslrootcert=/tmp/ca.crt" <<'SQL'
%s
SQL
`, c["ca.crt"], quote(string(c["password"])), c["host"], c["port"], c["username"], c["database"], statements)
}

// quote makes one word of a text for the shell.
func quote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// shell runs a script in the application's container.
func (a application) shell(ctx context.Context, script string) (string, error) {
	out, err := a.exec(ctx, client.ObjectKeyFromObject(a.pod), "psql", script, "sh", "-es")
	if err != nil {
		return "", fmt.Errorf("cannot run psql: %w", err)
	}
	return out, nil
}

// exec runs a command in a container.
func (b *bench) exec(ctx context.Context, pod client.ObjectKey, container, stdin string, command ...string) (string, error) {
	request := b.Logs.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: container, Command: command, Stdin: true, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	executor, err := remotecommand.NewWebSocketExecutor(b.config, "GET", request.URL().String())
	if err != nil {
		return "", fmt.Errorf("cannot reach container %q of Pod %q: %w", container, pod, err)
	}
	out, complaint := &bytes.Buffer{}, &bytes.Buffer{}
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: strings.NewReader(stdin), Stdout: out, Stderr: complaint})
	if err != nil {
		return "", fmt.Errorf("cannot run %q in container %q of Pod %q: %w: %s", command[0], container, pod, err, strings.TrimSpace(complaint.String()))
	}
	return out.String(), nil
}

// firstRow writes a database's first row and returns how many attempts that took: one, when what the claim says is true.
func (a application) firstRow(ctx context.Context, claim client.ObjectKey) (attempts int, err error) {
	const statements = "create table if not exists first (at timestamptz default now()); insert into first default values returning at"
	err = until(ctx, interval, "a row is written to "+claim.Name, func(ctx context.Context) (string, bool) {
		attempts++
		out, err := a.sql(ctx, claim, statements)
		return fmt.Sprint(err), err == nil && out != ""
	})
	return attempts, err
}
