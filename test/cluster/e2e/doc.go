// Package e2e tests the cluster that everything else is tested on: names, network policies and volumes. It runs on the
// local cluster, or on the one that KUBECONFIG names and that can pull from REGISTRY:
//
//	go test -tags e2e -count=1 ./test/cluster/e2e
package e2e
