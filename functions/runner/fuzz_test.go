package runner

import (
	"context"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/xdbcluster/xdbcluster/functions/naming"
)

// FuzzRunFunction changes fields of real requests. Whatever they hold then, there is an answer: either a fatal one, which
// changes nothing, or one in which every stateful object that was observed is still desired.
func FuzzRunFunction(f *testing.F) {
	requests := requests(f)
	for i := range requests {
		f.Add(uint8(i), uint16(0), uint8(0), uint16(0), uint8(0), "")
		f.Add(uint8(i), uint16(7), uint8(1), uint16(40), uint8(2), "9e99")
		f.Add(uint8(i), uint16(40), uint8(3), uint16(41), uint8(4), "\x00\n")
		f.Add(uint8(i), uint16(300), uint8(5), uint16(900), uint8(6), "-1")
	}
	f.Fuzz(func(t *testing.T, which uint8, where1 uint16, how1 uint8, where2 uint16, how2 uint8, value string) {
		req, ok := proto.Clone(requests[int(which)%len(requests)]).(*fnv1.RunFunctionRequest)
		if !ok {
			t.Fatal("a clone has another type")
		}
		mutate(req, where1, how1, value)
		mutate(req, where2, how2, value)

		observed := map[string]bool{}
		for _, name := range []string{naming.ObjectStatefulSet, naming.ObjectAuthority, naming.ObjectCredentials} {
			_, observed[name] = req.GetObserved().GetResources()[name]
		}
		rsp, err := runner().RunFunction(context.Background(), req)
		if err != nil {
			t.Fatal(err)
		}
		if message := fatal(rsp); message != "" {
			if strings.Contains(message, "has a bug") {
				t.Fatal("the composer panicked")
			}
			return
		}
		for name, was := range observed {
			if _, is := rsp.GetDesired().GetResources()[name]; was && !is {
				t.Errorf("%s was observed and would be deleted", name)
			}
		}
	})
}

// requests returns one request for each of the composers' cases.
func requests(f *testing.F) []*fnv1.RunFunctionRequest {
	f.Helper()
	cases, err := os.ReadDir(testdata)
	if err != nil {
		f.Fatal(err)
	}
	list := make([]*fnv1.RunFunctionRequest, 0, len(cases)+2)
	for _, c := range cases {
		list = append(list, request(f, c.Name()))
	}
	return append(list, request(f, "../../operation/testdata/upgraded"), request(f, "../../backupplan/testdata/due"))
}

// A slot is a place in a request that holds a value.
type slot struct {
	set    func(*structpb.Value)
	remove func()
}

// mutate changes one value of a request: where says which, how says into what.
func mutate(req *fnv1.RunFunctionRequest, where uint16, how uint8, value string) {
	var slots []slot
	roots := []*structpb.Struct{req.GetInput(), req.GetObserved().GetComposite().GetResource()}
	for _, name := range slices.Sorted(maps.Keys(req.GetObserved().GetResources())) {
		roots = append(roots, req.GetObserved().GetResources()[name].GetResource())
	}
	for _, name := range slices.Sorted(maps.Keys(req.GetRequiredResources())) {
		for _, r := range req.GetRequiredResources()[name].GetItems() {
			roots = append(roots, r.GetResource())
		}
	}
	for _, root := range roots {
		slots = collect(slots, root)
	}
	if len(slots) == 0 {
		return
	}
	chosen := slots[int(where)%len(slots)]
	switch how % 8 {
	case 0:
		chosen.remove()
	case 1:
		chosen.set(structpb.NewStringValue(strings.ToValidUTF8(value, "?")))
	case 2:
		chosen.set(structpb.NewNumberValue(math.Inf(1)))
	case 3:
		chosen.set(structpb.NewNumberValue(-1e300))
	case 4:
		chosen.set(structpb.NewNullValue())
	case 5:
		chosen.set(structpb.NewBoolValue(true))
	case 6:
		chosen.set(structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{structpb.NewNullValue()}}))
	case 7:
		chosen.set(structpb.NewStructValue(&structpb.Struct{}))
	}
}

// collect adds the slots of a struct and of everything in it, in an order that is always the same.
func collect(slots []slot, s *structpb.Struct) []slot {
	for _, key := range slices.Sorted(maps.Keys(s.GetFields())) {
		slots = append(slots, slot{
			set:    func(v *structpb.Value) { s.Fields[key] = v },
			remove: func() { delete(s.GetFields(), key) },
		})
		slots = collectValue(slots, s.GetFields()[key])
	}
	return slots
}

func collectValue(slots []slot, v *structpb.Value) []slot {
	if nested := v.GetStructValue(); nested != nil {
		return collect(slots, nested)
	}
	list := v.GetListValue()
	for i, item := range list.GetValues() {
		slots = append(slots, slot{
			set:    func(v *structpb.Value) { list.Values[i] = v },
			remove: func() { list.Values[i] = structpb.NewNullValue() },
		})
		slots = collectValue(slots, item)
	}
	return slots
}
