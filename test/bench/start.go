package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/test/platform"
)

// landmarks are what agent, Patroni, initdb and PostgreSQL print on the way of a new database, and what it means.
func landmarks() map[string]string {
	return map[string]string{
		`"msg":"Patroni started"`:                        "agent checked the volume and started Patroni",
		"trying to bootstrap a new cluster":              "Patroni is up and starts initdb",
		"Success. You can now start the database server": "initdb done",
		"database system is ready to accept connections": "PostgreSQL accepts connections",
		"initialized a new cluster":                      "Patroni made it the primary",
	}
}

// start returns when a new database's container printed its landmarks, by its node's clock: on the local cluster that is
// this machine's.
func (b *bench) start(ctx context.Context, claim client.ObjectKey) ([]platform.Mark, error) {
	pod := naming.Cluster{Namespace: claim.Namespace, Name: claim.Name}.Pod(0)
	options := &corev1.PodLogOptions{Container: "database", Timestamps: true}
	log, err := b.Logs.CoreV1().Pods(claim.Namespace).GetLogs(pod, options).DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot read what %q printed: %w", pod, err)
	}
	return marksIn(string(log))
}

// marksIn finds the landmarks in a log. A text that comes twice counts the first time.
func marksIn(log string) ([]platform.Mark, error) {
	marks := []platform.Mark{}
	for text, what := range landmarks() {
		before, _, found := strings.Cut(log, text)
		if !found {
			return nil, fmt.Errorf("the log does not say %q", text)
		}
		line := before[strings.LastIndex(before, "\n")+1:]
		stamp, _, _ := strings.Cut(line, " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			return nil, fmt.Errorf("cannot tell when the log said %q: %w", text, err)
		}
		marks = append(marks, platform.Mark{What: what, At: at})
	}
	return marks, nil
}
