// Package dbcluster says what a DBCluster becomes.
package dbcluster

import "github.com/xdbcluster/xdbcluster/functions/compose"

// Compose makes the desired state of a DBCluster.
func Compose(_ compose.Input) (compose.Output, error) {
	return compose.Output{}, nil
}
