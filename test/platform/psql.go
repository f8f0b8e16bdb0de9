package platform

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	clusterLabel = "xdbcluster.io/cluster"
	psqlTimeout  = time.Minute

	// An application that binds to the Secret has no more than these files. The password is in no argument, and the
	// server must prove that it is the host that was asked for. What enforces network policies learns of a new Pod a moment
	// after that runs, and refuses its connections until then.
	psqlScript = `cd /binding
for _ in $(seq 50); do
  pg_isready --quiet --host="$(cat host)" --port="$(cat port)" && break
  sleep 0.2
done
export PGPASSWORD="$(cat password)" PGCONNECT_TIMEOUT=10
printf '%s\n' "$SQL" | psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --file - \
  "host=$(cat host) port=$(cat port) user=$(cat username) dbname=$(cat database) sslmode=verify-full sslrootcert=/binding/ca.crt"`
)

// SQL runs statements with psql in a Pod of the claim's namespace, as an application would: over TLS, with what is in the
// connection Secret and nothing else. It returns what psql printed.
func (p *Platform) SQL(ctx context.Context, claim client.ObjectKey, statements string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, psqlTimeout)
	defer cancel()
	pod, err := p.psqlPod(ctx, claim, statements)
	if err != nil {
		return "", err
	}
	if err := p.Client.Create(ctx, pod); err != nil {
		return "", fmt.Errorf("cannot create a Pod for psql: %w", err)
	}
	defer p.Client.Delete(context.WithoutCancel(ctx), pod, client.GracePeriodSeconds(0)) //nolint:errcheck // A finished Pod that stays does no harm.

	err = wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		if err := p.Client.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
			return false, fmt.Errorf("cannot look at psql's Pod: %w", err)
		}
		return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed, nil
	})
	if err != nil {
		return "", fmt.Errorf("cannot see psql's Pod end (it is %s): %w", pod.Status.Phase, err)
	}
	out, err := p.Logs.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{}).DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("cannot read what psql printed: %w", err)
	}
	if pod.Status.Phase == corev1.PodFailed {
		return "", fmt.Errorf("cannot run psql against database %q: %s", claim.Name, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

func (p *Platform) psqlPod(ctx context.Context, claim client.ObjectKey, statements string) (*corev1.Pod, error) {
	secret, err := p.bindingOf(ctx, claim)
	if err != nil {
		return nil, err
	}
	image, err := p.databaseImage(ctx, claim)
	if err != nil {
		return nil, err
	}
	user, yes, no, seconds := int64(999), true, false, int64(0)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "psql-", Namespace: claim.Namespace},
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyNever,
			TerminationGracePeriodSeconds: &seconds,
			AutomountServiceAccountToken:  &no,
			EnableServiceLinks:            &no,
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user, FSGroup: &user,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name:         "psql",
				Image:        image,
				Command:      []string{"/bin/sh", "-euc", psqlScript},
				Env:          []corev1.EnvVar{{Name: "SQL", Value: statements}},
				VolumeMounts: []corev1.VolumeMount{{Name: "binding", MountPath: "/binding", ReadOnly: true}},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
			Volumes: []corev1.Volume{{
				Name:         "binding",
				VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret}},
			}},
		},
	}, nil
}

// bindingOf returns the name of a claim's connection Secret.
func (p *Platform) bindingOf(ctx context.Context, claim client.ObjectKey) (string, error) {
	object, err := p.Claim(ctx, claim)
	if err != nil {
		return "", err
	}
	name, _, _ := nested(object, "status", "binding", "name")
	if name == "" {
		return "", fmt.Errorf("DBCluster %q has no connection Secret yet: its status.binding is empty", claim)
	}
	return name, nil
}

// databaseImage returns the image that a claim's Pods run: it has psql in it.
func (p *Platform) databaseImage(ctx context.Context, claim client.ObjectKey) (string, error) {
	pods := &corev1.PodList{}
	if err := p.Client.List(ctx, pods, client.InNamespace(claim.Namespace), client.MatchingLabels{clusterLabel: claim.Name}); err != nil {
		return "", fmt.Errorf("cannot list the Pods of DBCluster %q: %w", claim, err)
	}
	for _, pod := range pods.Items {
		for _, container := range pod.Spec.Containers {
			if container.Name == "database" {
				return container.Image, nil
			}
		}
	}
	return "", fmt.Errorf("DBCluster %q has no Pod with a container named database", claim)
}
