package compose

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
)

// Content returns the content of an object that is given as one of client-go's apply configurations, or as a struct with
// pointers and omitempty like them. Unlike the API's own types they have no zero values: Crossplane would own, and set back
// for ever, every field that is in here.
func Content(applyConfiguration any) (map[string]any, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(applyConfiguration)
	if err != nil {
		return nil, fmt.Errorf("cannot convert %T: %w", applyConfiguration, err)
	}
	return content, nil
}
