package dbcluster

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/functions/compose"
	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/functions/naming"
)

func TestNeedsPerson(t *testing.T) {
	grown := cluster{Disk: v1alpha1.DiskSpec{Size: resource.MustParse("2Gi")}}
	cloned := cluster{Spec: v1alpha1.DBClusterSpec{Bootstrap: &v1alpha1.BootstrapSpec{}}}
	wanted := plan{Config: &instance.Config{SettingsHash: "new"}}
	cases := map[string]struct {
		reason  string
		cluster cluster
		plan    plan
		report  instance.Report
		code    string
		want    bool
	}{
		"EquipmentMissing":  {reason: "The spec may name another image already.", code: instance.IncidentEquipmentMissing},
		"DataVolumeRefused": {reason: "What is on a volume is never removed.", code: instance.IncidentDataVolumeRefused, want: true},
		"DataVolumeEmpty":   {reason: "Nothing starts empty where data was.", code: instance.IncidentDataVolumeEmpty, want: true},
		"DataVolumeInUse":   {reason: "The other container ends.", code: "DataVolumeInUse"},
		"DiskCannotGrow":    {reason: "The class refuses.", cluster: grown, report: instance.Report{DataDiskSize: "1Gi"}, code: instance.IncidentDataDiskCannotGrow, want: true},
		"DiskGrown":         {reason: "The spec asks for the size again that it has.", cluster: grown, report: instance.Report{DataDiskSize: "2Gi"}, code: instance.IncidentDataDiskCannotGrow},
		"ParametersFailed":  {reason: "PostgreSQL refuses one.", plan: wanted, report: instance.Report{SettingsHash: "old"}, code: instance.IncidentParametersFailed, want: true},
		"ParametersAsNow":   {reason: "The spec asks for those in force again.", plan: wanted, report: instance.Report{SettingsHash: "new"}, code: instance.IncidentParametersFailed},
		"BackupsExist":      {reason: "Nobody has decided.", cluster: cluster{IfBackupsExist: v1alpha1.BackupsFail}, code: instance.IncidentBackupsExist, want: true},
		"BackupsDecided":    {reason: "The instance has not seen the decision yet.", cluster: cluster{IfBackupsExist: v1alpha1.BackupsIgnored}, code: instance.IncidentBackupsExist},
		"CloneRefused":      {reason: "What a clone is to begin with is not there.", cluster: cloned, code: instance.IncidentRestoreRefused, want: true},
		"HeirRefused":       {reason: "What is to be inherited is damaged.", cluster: cluster{IfBackupsExist: v1alpha1.BackupsRestored}, code: instance.IncidentRestoreRefused, want: true},
		"RestoreRefused":    {reason: "A restore in place is put back by its operation.", cluster: cluster{IfBackupsExist: v1alpha1.BackupsFail}, code: instance.IncidentRestoreRefused},
		"RestoreFails":      {reason: "It is tried again.", cluster: cloned, code: instance.IncidentRestoreFails},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := needsPerson(tc.cluster, tc.plan, tc.report, tc.code); got != tc.want {
				t.Errorf("\n%s\nneedsPerson(...) = %t, want %t", tc.reason, got, tc.want)
			}
		})
	}
}

func TestIsInvalid(t *testing.T) {
	cases := map[string]struct {
		reason string
		synced compose.ObservedCondition
		want   bool
	}{
		"Taken": {
			reason: "All was applied.",
			synced: compose.ObservedCondition{Status: "True"},
		},
		"Refused": {
			reason: "It is named among others.",
			synced: compose.ObservedCondition{Status: "False", Message: "Unsynced resources: service, and stateful-set"},
			want:   true,
		},
		"OtherRefused": {
			reason: "A name that only contains it is another.",
			synced: compose.ObservedCondition{Status: "False", Message: "Unsynced resources: stateful-set-usage"},
		},
		"OtherError": {
			reason: "The API server may just be away.",
			synced: compose.ObservedCondition{Status: "False", Message: "cannot apply composed resource \"stateful-set\": the server is currently unable to handle the request"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			seen := facts{Conditions: map[string]compose.ObservedCondition{"Synced": tc.synced}}
			if got := isInvalid(seen, naming.ObjectStatefulSet); got != tc.want {
				t.Errorf("\n%s\nisInvalid(...) = %t, want %t", tc.reason, got, tc.want)
			}
		})
	}
}
