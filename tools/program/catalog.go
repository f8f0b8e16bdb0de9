// Package program builds the programs this project needs from their authors' Go modules and keeps them by content.
package program

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

// A Catalog lists every program that can be built.
type Catalog struct {
	Modules []Module `json:"modules"`
}

// A Module is a Go module that holds programs. See versions.yaml for the meaning of each field.
type Module struct {
	Path         string            `json:"path"`
	Version      string            `json:"version"`
	LocalReplace string            `json:"localReplace,omitempty"`
	Require      map[string]string `json:"require,omitempty"`
	Sums         []string          `json:"sums,omitempty"`
	LDFlags      string            `json:"ldflags,omitempty"`
	Programs     map[string]string `json:"programs"`
	Main         string            `json:"main,omitempty"`
}

// LoadCatalog reads a catalog and refuses unknown fields.
func LoadCatalog(path string) (Catalog, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // The path is the project's own file, named by its caller.
	if err != nil {
		return Catalog{}, fmt.Errorf("cannot read the catalog of programs: %w", err)
	}
	c := Catalog{}
	if err := yaml.UnmarshalStrict(raw, &c); err != nil {
		return Catalog{}, fmt.Errorf("cannot parse the catalog of programs %q: %w", path, err)
	}
	return c, nil
}

// Find returns the module that holds a program.
func (c Catalog) Find(program string) (Module, error) {
	for _, m := range c.Modules {
		if _, ok := m.Programs[program]; ok {
			return m, nil
		}
	}
	return Module{}, fmt.Errorf("cannot find program %q in the catalog", program)
}

// Names returns the names of every program.
func (c Catalog) Names() []string {
	names := make([]string, 0, len(c.Modules))
	for _, m := range c.Modules {
		for name := range m.Programs {
			names = append(names, name)
		}
	}
	return names
}
