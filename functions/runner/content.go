package runner

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/structured-merge-diff/v6/value"

	"github.com/xdbcluster/xdbcluster/functions/compose"
)

// structOf returns content in protobuf. It gives what Kubernetes' own converter and structpb.NewStruct give together, without
// the maps between them, and knows types from the same place as the former. No content is an empty struct.
func structOf(content any) (*structpb.Struct, error) {
	if content == nil {
		return &structpb.Struct{}, nil
	}
	v, err := valueOf(reflect.ValueOf(content))
	if err != nil {
		return nil, err
	}
	if v.GetStructValue() == nil {
		return nil, fmt.Errorf("%T is no object", content)
	}
	return v.GetStructValue(), nil
}

func valueOf(v reflect.Value) (*structpb.Value, error) {
	return valueOfType(v, value.TypeReflectEntryOf(v.Type()))
}

func valueOfType(v reflect.Value, t *value.TypeReflectCacheEntry) (*structpb.Value, error) {
	if t.CanConvertToUnstructured() {
		return valueOfMarshaler(v, t)
	}
	switch v.Kind() {
	case reflect.String:
		return valueOfString(v.String())
	case reflect.Bool:
		return structpb.NewBoolValue(v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return structpb.NewNumberValue(float64(v.Int())), nil
	case reflect.Float32, reflect.Float64:
		return structpb.NewNumberValue(v.Float()), nil
	case reflect.Struct:
		return valueOfStruct(v, t)
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
		if v.IsNil() {
			return structpb.NewNullValue(), nil
		}
		return valueOfReference(v)
	default:
		return nil, fmt.Errorf("%s cannot be in an object", v.Type())
	}
}

// valueOfMarshaler returns the value of something that writes its own JSON: a quantity, a time. A resource is in protobuf
// already, and of ports there are so many that their JSON is not read again.
func valueOfMarshaler(v reflect.Value, t *value.TypeReflectCacheEntry) (*structpb.Value, error) {
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return structpb.NewNullValue(), nil
	}
	switch typed := v.Interface().(type) {
	case *compose.Resource:
		return structpb.NewStructValue((*structpb.Struct)(typed)), nil
	case *intstr.IntOrString:
		if typed.Type == intstr.Int {
			return structpb.NewNumberValue(float64(typed.IntVal)), nil
		}
		return valueOfString(typed.StrVal)
	}
	content, err := t.ToUnstructured(v)
	if err != nil {
		return nil, fmt.Errorf("cannot convert %s: %w", v.Type(), err)
	}
	return structpb.NewValue(content)
}

func valueOfReference(v reflect.Value) (*structpb.Value, error) {
	switch {
	case v.Kind() == reflect.Map:
		return valueOfMap(v)
	case v.Kind() != reflect.Slice:
		return valueOf(v.Elem())
	case v.Type().Elem().Kind() == reflect.Uint8:
		return newText(base64.StdEncoding.EncodeToString(v.Bytes())), nil
	default:
		return valueOfSlice(v)
	}
}

func valueOfStruct(v reflect.Value, t *value.TypeReflectCacheEntry) (*structpb.Value, error) {
	fields := map[string]*structpb.Value{}
	for _, field := range t.OrderedFields() {
		from := field.GetFrom(v)
		if field.CanOmit(from) {
			continue
		}
		to, err := valueOfType(from, field.TypeEntry)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field.JsonName, err)
		}
		fields[field.JsonName] = to
	}
	return newObject(fields), nil
}

func valueOfMap(v reflect.Value) (*structpb.Value, error) {
	if texts, ok := v.Interface().(map[string]string); ok {
		return valueOfTexts(texts)
	}
	fields := make(map[string]*structpb.Value, v.Len())
	element := value.TypeReflectEntryOf(v.Type().Elem())
	for entries := v.MapRange(); entries.Next(); {
		key := entries.Key().String()
		to, err := valueOfType(entries.Value(), element)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", key, err)
		}
		if !utf8.ValidString(key) {
			return nil, fmt.Errorf("the key %q is not UTF-8", key)
		}
		fields[key] = to
	}
	return newObject(fields), nil
}

// valueOfTexts does without reflection what nearly every map is: labels and data.
func valueOfTexts(texts map[string]string) (*structpb.Value, error) {
	fields := make(map[string]*structpb.Value, len(texts))
	for key, text := range texts {
		if !utf8.ValidString(key) || !utf8.ValidString(text) {
			return nil, fmt.Errorf("the text %q of %q is not UTF-8", text, key)
		}
		fields[key] = newText(text)
	}
	return newObject(fields), nil
}

func valueOfSlice(v reflect.Value) (*structpb.Value, error) {
	values := make([]*structpb.Value, v.Len())
	element := value.TypeReflectEntryOf(v.Type().Elem())
	for i := range values {
		to, err := valueOfType(v.Index(i), element)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
		values[i] = to
	}
	return structpb.NewListValue(&structpb.ListValue{Values: values}), nil
}

// valueOfString refuses what protobuf cannot hold.
func valueOfString(s string) (*structpb.Value, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("the text %q is not UTF-8", s)
	}
	return newText(s), nil
}

// newText and newObject return what structpb.NewStringValue and structpb.NewStructValue do, in one piece of memory instead of
// two and three: nearly all that is in objects is one of both.
func newText(s string) *structpb.Value {
	whole := &struct {
		value structpb.Value
		kind  structpb.Value_StringValue
	}{}
	whole.kind.StringValue, whole.value.Kind = s, &whole.kind
	return &whole.value
}

func newObject(fields map[string]*structpb.Value) *structpb.Value {
	whole := &struct {
		value  structpb.Value
		kind   structpb.Value_StructValue
		object structpb.Struct
	}{}
	whole.object.Fields, whole.kind.StructValue, whole.value.Kind = fields, &whole.object, &whole.kind
	return &whole.value
}
