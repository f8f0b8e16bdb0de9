package compose

import (
	"bytes"
	"encoding/json"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
)

// A Resource is an object as it was observed, or a part of one. Nil is one that was not. It is decoded field by field as it is
// read, because nobody looks at most of what there is. What is missing, or of another type than it is read as, reads as empty.
type Resource structpb.Struct

// Text returns a text.
func (r *Resource) Text(path ...string) string { return r.field(path).GetStringValue() }

// Number returns a whole number.
func (r *Resource) Number(path ...string) int64 { return int64(r.field(path).GetNumberValue()) }

// True says whether a field is true.
func (r *Resource) True(path ...string) bool { return r.field(path).GetBoolValue() }

// Has says whether there is a field of that name, whatever it holds.
func (r *Resource) Has(path ...string) bool { return r.field(path) != nil }

// Time returns a time.
func (r *Resource) Time(path ...string) time.Time {
	t, err := time.Parse(time.RFC3339, r.Text(path...))
	if err != nil {
		return time.Time{}
	}
	return t
}

// Texts returns the texts of an object: labels, or the data of a ConfigMap.
func (r *Resource) Texts(path ...string) map[string]string {
	fields := r.Object(path...).fields()
	texts := make(map[string]string, len(fields))
	for name, v := range fields {
		texts[name] = v.GetStringValue()
	}
	return texts
}

// Object returns an object, or nil.
func (r *Resource) Object(path ...string) *Resource {
	return (*Resource)(r.field(path).GetStructValue())
}

// Objects returns the objects of a list.
func (r *Resource) Objects(path ...string) []*Resource {
	values := r.field(path).GetListValue().GetValues()
	objects := make([]*Resource, 0, len(values))
	for _, v := range values {
		if s := v.GetStructValue(); s != nil {
			objects = append(objects, (*Resource)(s))
		}
	}
	return objects
}

func (r *Resource) field(path []string) *structpb.Value {
	fields, last := r.fields(), len(path)-1
	for _, name := range path[:last] {
		fields = fields[name].GetStructValue().GetFields()
	}
	return fields[path[last]]
}

func (r *Resource) fields() map[string]*structpb.Value { return (*structpb.Struct)(r).GetFields() }

// MarshalJSON returns the whole resource in JSON.
func (r *Resource) MarshalJSON() ([]byte, error) { return json.Marshal((*structpb.Struct)(r).AsMap()) }

// Decode reads a resource into a typed value. What the type does not know is an error: nothing is ignored.
func (r *Resource) Decode(into any) error {
	b, err := r.MarshalJSON()
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(into)
}
