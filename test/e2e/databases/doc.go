// Package databases tests what becomes of a claim on a real cluster. It needs the packages to be installed, and nothing
// but these variables:
//
//	KUBECONFIG       the cluster
//	E2E_PROJECT      this project's folder, for the examples; by default three folders up
//	E2E_REPOSITORY   the folder of the Git repository that Flux follows; without it what goes through Git is skipped
//	E2E_OUTPUT       the folder that gets what there is to see when a test fails
//
// "make e2e" brings a cluster up and sets them. With the cluster up:
//
//	KUBECONFIG=$PWD/.cluster/kubeconfig go test -tags e2e -count=1 -run TestParameters ./test/e2e/databases
package databases
