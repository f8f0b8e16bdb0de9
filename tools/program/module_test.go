package program

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/modfile"
)

func TestBuildModule(t *testing.T) {
	type args struct {
		module   Module
		upstream string
	}
	cases := map[string]struct {
		reason string
		args   args
		want   string
	}{
		"ReplacedByVersion": {
			reason: "A replacement by another version must hold in the build module too: Go ignores those of dependencies.",
			args: args{
				module:   Module{Path: "example.org/tool", Version: "v1.2.3"},
				upstream: "module example.org/tool\n\ngo 1.26\n\nrequire example.org/a v1.0.0\n\nreplace example.org/a => example.org/fork v1.0.1\n",
			},
			want: `module build.invalid/example.org-tool

go 1.26

require (
	example.org/tool v1.2.3
	example.org/a v1.0.0
)

replace example.org/a => example.org/fork v1.0.1
`,
		},
		"ReplacedByFolder": {
			reason: "A folder of the module's repository is not in its release, so the folder's own release stands in for it.",
			args: args{
				module:   Module{Path: "example.org/tool", Version: "v1.2.3", LocalReplace: "v0.2.3"},
				upstream: "module example.org/tool\n\ngo 1.26\n\nrequire example.org/api v0.0.0\n\nreplace example.org/api => ./staging/api\n",
			},
			want: `module build.invalid/example.org-tool

go 1.26

require (
	example.org/tool v1.2.3
	example.org/api v0.2.3
)

replace example.org/api => example.org/api v0.2.3
`,
		},
		"ReplacedByFolderWithoutRelease": {
			reason: "A replacement of a module that cannot have the version is left out, or go.mod would not parse.",
			args: args{
				module:   Module{Path: "example.org/tool/v3", Version: "v3.2.3"},
				upstream: "module example.org/tool/v3\n\ngo 1.26\n\nreplace example.org/tool => ../\n",
			},
			want: `module build.invalid/example.org-tool-v3

go 1.26

require example.org/tool/v3 v3.2.3
`,
		},
		"Raised": {
			reason: "A version that the catalog raises stands in place of the module's own.",
			args: args{
				module:   Module{Path: "example.org/tool", Version: "v1.2.3", Require: map[string]string{"example.org/a": "v1.9.0"}},
				upstream: "module example.org/tool\n\ngo 1.26\n\nrequire example.org/a v1.0.0\n",
			},
			want: `module build.invalid/example.org-tool

go 1.26

require (
	example.org/tool v1.2.3
	example.org/a v1.9.0
)
`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			upstream, err := modfile.Parse("go.mod", []byte(tc.args.upstream), nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := buildModule(tc.args.module, upstream)
			if err != nil {
				t.Fatalf("\n%s\nbuildModule(...): %v", tc.reason, err)
			}
			if diff := cmp.Diff(tc.want, string(got)); diff != "" {
				t.Errorf("\n%s\nbuildModule(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
