package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
	"github.com/xdbcluster/xdbcluster/test/platform"
)

// parameter is what is changed: PostgreSQL can reload it.
const parameter = "work_mem"

type reloadCommand struct{ repeated }

// Run measures the way of a parameter of one database from Git until it is in force.
func (c reloadCommand) Run(ctx context.Context, b *bench, r *report) error {
	m := &reloads{
		key:   client.ObjectKey{Namespace: platform.Namespace, Name: "bench-reload"},
		shown: &measurement{what: "parameter change by reload: git push, to in force and shown in status", atMost: "15 s", unit: seconds},
		green: &measurement{what: "parameter change by reload: git push, to Flux saying that it is rolled out", unit: seconds},
		steps: steps{},
	}
	err := b.inGit(ctx, m.key, func(ctx context.Context) error {
		return b.withApplication(ctx, platform.Namespace, func(ctx context.Context, a application) error {
			return m.runs(ctx, a, c.Runs)
		})
	})
	if err != nil {
		return err
	}
	if err := r.table(m.shown, m.green); err != nil {
		return err
	}
	return m.steps.table(r, "git push to in force")
}

// reloads are how long changes of a parameter took from Git to PostgreSQL.
type reloads struct {
	key          client.ObjectKey
	shown, green *measurement

	steps steps
}

func (m *reloads) runs(ctx context.Context, a application, runs int) error {
	if err := m.begin(ctx, a); err != nil {
		return err
	}
	for i := range runs {
		value := fmt.Sprintf("%dMB", i+6)
		err := a.Progress.Step(fmt.Sprintf("From git push to in force, %s %s", parameter, value), func() error { return m.run(ctx, a, value) })
		if err != nil {
			return err
		}
	}
	return nil
}

// begin makes the database that all runs change.
func (m *reloads) begin(ctx context.Context, a application) error {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	revision, err := m.commit(ctx, a, "5MB")
	if err != nil {
		return err
	}
	return a.WaitRolledOut(ctx, revision)
}

func (m *reloads) commit(ctx context.Context, a application, value string) (string, error) {
	spec := smallSpec()
	spec.PrimarySpec.Parameters = map[string]string{parameter: value}
	file, err := manifest(m.key, spec)
	if err != nil {
		return "", err
	}
	return a.Repository.AddClaim(ctx, m.key.Name, file)
}

func (m *reloads) run(ctx context.Context, a application, value string) error {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	claim, err := a.Claim(ctx, m.key)
	if err != nil {
		return err
	}
	started, err := a.sql(ctx, m.key, "select pg_postmaster_start_time()")
	if err != nil {
		return err
	}
	if err := anyMoment(ctx); err != nil {
		return err
	}

	pushed := time.Now()
	revision, err := m.commit(ctx, a, value)
	if err != nil {
		return err
	}
	marks, err := a.pass(ctx, stations(claim, revision, value))
	if err != nil {
		return err
	}
	if err := a.WaitRolledOut(ctx, revision); err != nil {
		return err
	}
	m.shown.took(marks[len(marks)-1].At.Sub(pushed))
	m.green.took(time.Since(pushed))
	m.steps.add(pushed, marks...)
	return m.verify(ctx, a, value, started)
}

// verify asks PostgreSQL itself whether a value is in force, and by a reload: since when it runs must be the same as before.
func (m *reloads) verify(ctx context.Context, a application, value, started string) error {
	out, err := a.sql(ctx, m.key, "show "+parameter+"; select pg_postmaster_start_time()")
	if err != nil {
		return err
	}
	if want := value + "\n" + started; out != want {
		return fmt.Errorf("PostgreSQL says of %s and of its start %q, not %q: status told what is not so", parameter, out, want)
	}
	return nil
}

// A station is where a change can be seen on its way.
type station struct {
	what  string
	kind  schema.GroupVersionKind
	key   client.ObjectKey
	shows func(object *unstructured.Unstructured) bool
}

// stations are those of a parameter's value, in the order in which it passes them.
func stations(claim unstructured.Unstructured, revision, value string) []station {
	key := client.ObjectKeyFromObject(&claim)
	cluster := naming.Cluster{Namespace: key.Namespace, Name: key.Name}
	config := client.ObjectKey{Namespace: key.Namespace, Name: cluster.Config()}
	reports := client.ObjectKey{Namespace: key.Namespace, Name: cluster.Reports()}
	composite := client.ObjectKey{Name: text(&claim, "spec", "resourceRef", "name")}
	flux := client.ObjectKey{Namespace: "flux-system", Name: "flux-system"}

	sources := schema.GroupVersionKind{Group: "source.toolkit.fluxcd.io", Version: "v1", Kind: "GitRepository"}
	claims := v1alpha1.GroupVersion().WithKind(v1alpha1.KindDBCluster)
	composites := v1alpha1.GroupVersion().WithKind(v1alpha1.KindXDBCluster)
	configMaps := schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}

	fetched := func(o *unstructured.Unstructured) bool {
		return strings.HasSuffix(text(o, "status", "artifact", "revision"), revision)
	}
	wanted := func(o *unstructured.Unstructured) bool {
		return text(o, "spec", "primarySpec", "parameters", parameter) == value
	}
	configured := func(o *unstructured.Unstructured) bool {
		c := instance.Config{}
		return json.Unmarshal([]byte(text(o, "data", instance.ConfigKey)), &c) == nil && c.Parameters[parameter] == value
	}
	reported := func(o *unstructured.Unstructured) bool {
		r := instance.Report{}
		return json.Unmarshal([]byte(text(o, "data", cluster.Pod(0))), &r) == nil && r.Parameters[parameter] == value
	}
	shown := func(o *unstructured.Unstructured) bool {
		return text(o, "status", "parameters", "inForce", parameter) == value
	}
	return []station{
		{"Flux fetched the commit", sources, flux, fetched},
		{"Flux applied the claim", claims, key, wanted},
		{"Crossplane changed the composite", composites, composite, wanted},
		{"Crossplane applied the function's ConfigMap", configMaps, config, configured},
		{"the agent reported it in force", configMaps, reports, reported},
		{"shown in the claim's status", claims, key, shown},
	}
}

// text reads a field of an object, which is empty when it is not there.
func text(object *unstructured.Unstructured, fields ...string) string {
	s, _, _ := unstructured.NestedString(object.Object, fields...)
	return s
}

// pass waits at one station after the other.
func (b *bench) pass(ctx context.Context, stations []station) ([]platform.Mark, error) {
	marks := make([]platform.Mark, 0, len(stations))
	for _, s := range stations {
		err := until(ctx, interval, s.what, func(ctx context.Context) (string, bool) {
			object, err := b.get(ctx, s.kind, s.key)
			if err != nil {
				return err.Error(), false
			}
			return "not yet", s.shows(object)
		})
		if err != nil {
			return nil, err
		}
		marks = append(marks, platform.Mark{What: s.what, At: time.Now()})
	}
	return marks, nil
}
