package app_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"nacre/internal/app"
	"nacre/internal/clock"
	"nacre/internal/testcloud"
	"nacre/internal/work"
	"nacre/internal/work/worktest"
)

// planCase is a plan's line: how the world is made ready and how the plan is
// begun, through the public API.
type planCase struct {
	prepare func(t *testing.T, s *stage)
	begin   func(t *testing.T, s *stage)
	givenUp left // what is there after a run was given up
	hosts   int  // that are needed; 0 is one
	pinned  bool // they have cores for guests alone, and there are flavors with such

	plan    string // its name; "" is the line's
	shelved int    // for how many seconds shelved servers keep their hosts
}

// left is a resource in ERROR, which its user may look at and remove, and its
// share of the quota.
type left struct {
	kind   string
	before bool // it was there before
	quota  map[string]int
	rows   map[string]string

	changed map[string][]string // what has become what in the rows of a kind, in pairs, by a plan that began this one

	ofAdmin bool // it is the admin's, beside one of the user's own
}

// stage is a cloud with the things that a line works with.
type stage struct {
	cloud                      *testcloud.Cloud
	demo                       testcloud.User
	server, volume, other, net string
	image, groupSnapshot       string
	record                     map[string]any
}

func (s *stage) path(format string, ids ...any) string { return fmt.Sprintf(format, ids...) }

func withServer(t *testing.T, s *stage) { s.server = s.demo.MustCreateServer(t, "web") }

func withVolume(t *testing.T, s *stage) {
	s.volume = s.demo.CreateVolume(t, "data", 1)
	s.cloud.Settle(t)
}

func withAttached(t *testing.T, s *stage) {
	withServer(t, s)
	withVolume(t, s)
	attach(t, s)
	s.cloud.Settle(t)
}

func attach(t *testing.T, s *stage) {
	s.demo.Must(t, 200, "POST", s.path("/compute/v2.1/servers/%s/os-volume_attachments", s.server),
		map[string]any{"volumeAttachment": map[string]any{"volumeId": s.volume}})
}

func plug(t *testing.T, s *stage) {
	s.demo.Must(t, 200, "POST", s.path("/compute/v2.1/servers/%s/os-interface", s.server),
		map[string]any{"interfaceAttachment": map[string]any{"net_id": s.net}})
}

func act(t *testing.T, s *stage, action map[string]any) {
	reply := s.demo.Do(t, "POST", s.path("/compute/v2.1/servers/%s/action", s.server), action)
	if reply.Status/100 != 2 {
		t.Fatalf("%v: %d %s", action, reply.Status, reply.Body)
	}
}

// actAs does something at the newest microversion.
func actAs(t *testing.T, who testcloud.User, s *stage, action map[string]any) {
	reply := who.Do(t, "POST", s.path("/compute/v2.1/servers/%s/action", s.server), action, "OpenStack-API-Version", "compute latest")
	if reply.Status/100 != 2 {
		t.Fatalf("%v: %d %s", action, reply.Status, reply.Body)
	}
}

func shelve(t *testing.T, s *stage) { act(t, s, map[string]any{"shelve": nil}) }

// lose declares a host down, or up again.
func lose(t *testing.T, s *stage, host string, down bool) {
	s.cloud.Admin().Must(t, 200, "PUT", "/compute/v2.1/os-services/force-down",
		map[string]any{"host": host, "binary": "nova-compute", "forced_down": down}, "OpenStack-API-Version", "compute 2.11")
}

// withBootVolume is a server whose root disk is a volume, which goes with it.
func withBootVolume(t *testing.T, s *stage) {
	var reply struct{ Server struct{ ID string } }
	s.demo.Must(t, 202, "POST", "/compute/v2.1/servers", map[string]any{"server": map[string]any{
		"name": "web", "flavorRef": "1", "networks": []any{map[string]any{"uuid": s.net}},
		"block_device_mapping_v2": []any{map[string]any{"boot_index": 0, "uuid": s.demo.Image(t, "cirros"), "source_type": "image",
			"destination_type": "volume", "volume_size": 1, "delete_on_termination": true}},
	}}).JSON(t, &reply)
	s.server = reply.Server.ID
	s.cloud.Settle(t)
}

func resize(t *testing.T, s *stage) {
	act(t, s, map[string]any{"resize": map[string]any{"flavorRef": "2"}})
}

func withResized(t *testing.T, s *stage) {
	withServer(t, s)
	resize(t, s)
	s.cloud.Settle(t)
}

func snapshot(t *testing.T, s *stage) {
	var reply struct{ Snapshot struct{ ID string } }
	s.demo.Must(t, 202, "POST", "/volume/v3/snapshots", map[string]any{"snapshot": map[string]any{
		"volume_id": s.volume, "name": "copy"}}).JSON(t, &reply)
	s.other = reply.Snapshot.ID
}

var volumeLatest = []string{"OpenStack-API-Version", "volume latest"}

// addGroupType makes the type that groups here are of.
func addGroupType(t *testing.T, cloud *testcloud.Cloud) {
	cloud.Admin().Must(t, 202, "POST", "/volume/v3/group_types", map[string]any{"group_type": map[string]any{"name": "together"}}, volumeLatest...)
}

// group makes a group, s.other.
func group(t *testing.T, s *stage) {
	var reply struct{ Group struct{ ID string } }
	s.demo.Must(t, 202, "POST", "/volume/v3/groups", map[string]any{"group": map[string]any{
		"name": "g", "group_type": "together", "volume_types": []string{"__DEFAULT__"}}}, volumeLatest...).JSON(t, &reply)
	s.other = reply.Group.ID
}

func withGroup(t *testing.T, s *stage) {
	group(t, s)
	s.cloud.Settle(t)
	s.demo.Must(t, 202, "POST", "/volume/v3/volumes", map[string]any{"volume": map[string]any{
		"size": 1, "volume_type": "__DEFAULT__", "group_id": s.other}}, volumeLatest...)
	s.cloud.Settle(t)
}

// groupSnapshot makes a group snapshot.
func groupSnapshot(t *testing.T, s *stage) {
	var reply struct {
		Snapshot struct{ ID string } `json:"group_snapshot"`
	}
	s.demo.Must(t, 202, "POST", "/volume/v3/group_snapshots", map[string]any{"group_snapshot": map[string]any{"group_id": s.other}}, volumeLatest...).JSON(t, &reply)
	s.groupSnapshot = reply.Snapshot.ID
}

func withImage(t *testing.T, s *stage) {
	var reply struct{ ID string }
	s.demo.Must(t, 201, "POST", "/image/v2/images", map[string]any{"name": "i", "disk_format": "raw", "container_format": "bare"}).JSON(t, &reply)
	s.image = reply.ID
}

func importImage(t *testing.T, who testcloud.User, s *stage, method map[string]any) {
	who.Must(t, 202, "POST", s.path("/image/v2/images/%s/import", s.image), map[string]any{"method": method, "all_stores": true})
}

// withContainer is a volume, and the container of its backups, which an attempt to
// make one leaves.
func withContainer(t *testing.T, s *stage) {
	withVolume(t, s)
	s.demo.Must(t, 201, "PUT", "/v1/AUTH_"+s.demo.Project(t)+"/volumebackups", nil)
}

func backup(t *testing.T, s *stage) {
	var reply struct{ Backup struct{ ID string } }
	s.demo.Must(t, 202, "POST", "/volume/v3/backups", map[string]any{"backup": map[string]any{"volume_id": s.volume}}).JSON(t, &reply)
	s.other = reply.Backup.ID
}

func withBackup(t *testing.T, s *stage) {
	withVolume(t, s)
	backup(t, s)
	s.cloud.Settle(t)
}

// withRecord is the record of a backup under another id.
func withRecord(t *testing.T, s *stage) {
	withBackup(t, s)
	who := s.cloud.Admin()
	t.Cleanup(func() { who.RemoveBackups(t) })
	var reply struct {
		Record struct {
			Service string `json:"backup_service"`
			URL     string `json:"backup_url"`
		} `json:"backup-record"`
	}
	who.Must(t, 200, "GET", s.path("/volume/v3/backups/%s/export_record", s.other), nil).JSON(t, &reply)
	text, err := base64.StdEncoding.DecodeString(reply.Record.URL)
	if err != nil {
		t.Fatal(err)
	}
	again := strings.Replace(string(text), s.path(`"id":"%s"`, s.other), s.path(`"id":"%s"`, clock.UUID()), 1)
	s.record = map[string]any{"backup-record": map[string]any{
		"backup_service": reply.Record.Service, "backup_url": base64.StdEncoding.EncodeToString([]byte(again))}}
}

// secretsLeft is what a server that could not be made keeps beside its row.
var secretsLeft = map[string]string{
	"server_secrets": "server=ID user_data= public_key= key_type= SEED password= files=null boot_roles=member,reader vendor_data=null admin_pass= ",
}

// planCases has a line for each plan.
var planCases = map[string]planCase{
	"server.create": {
		prepare: withVolume,
		begin: func(t *testing.T, s *stage) {
			var reply struct{ Server struct{ ID string } }
			s.demo.Must(t, 202, "POST", "/compute/v2.1/servers", map[string]any{"server": map[string]any{
				"name": "web", "flavorRef": "1", "networks": []any{map[string]any{"uuid": s.net}},
				"imageRef": s.demo.Image(t, "cirros"),
				"block_device_mapping_v2": []any{
					map[string]any{"boot_index": 0, "uuid": s.demo.Image(t, "cirros"), "source_type": "image", "destination_type": "local"},
					map[string]any{"boot_index": -1, "uuid": s.volume, "source_type": "volume", "destination_type": "volume"},
					map[string]any{"boot_index": -1, "source_type": "blank", "destination_type": "volume", "volume_size": 1, "delete_on_termination": true},
				}}}).JSON(t, &reply)
			s.server = reply.Server.ID
		},
		givenUp: left{kind: "servers", quota: map[string]int{"instances": 1, "cores": 1, "ram": 512},
			rows: secretsLeft},
	},
	"server.delete": {
		prepare: withAttached,
		begin: func(t *testing.T, s *stage) {
			s.demo.Must(t, 204, "DELETE", s.path("/compute/v2.1/servers/%s", s.server), nil)
		},
	},
	"server.power": {
		prepare: withServer,
		begin:   func(t *testing.T, s *stage) { s.demo.Act(t, s.server, "os-stop") },
	},
	"server.rebuild": {
		prepare: withServer,
		begin: func(t *testing.T, s *stage) {
			act(t, s, map[string]any{"rebuild": map[string]any{"imageRef": s.demo.Image(t, "cirros")}})
		},
		givenUp: left{kind: "servers", before: true}, // the disk does not come back
	},
	"server.rebuild_volume": {
		prepare: withBootVolume,
		begin: func(t *testing.T, s *stage) {
			actAs(t, s.demo, s, map[string]any{"rebuild": map[string]any{"imageRef": s.demo.Image(t, "cirros")}})
		},
		givenUp: left{kind: "servers", before: true}, // the bytes do not come back
	},
	"aggregate.cache_images": {
		prepare: withAggregate,
		begin: func(t *testing.T, s *stage) {
			s.cloud.Admin().Must(t, 202, "POST", s.other+"/images", map[string]any{"cache": []any{map[string]any{"id": s.demo.Image(t, "cirros")}}})
		},
	},
	"server.create_image": {
		prepare: withServer,
		begin:   func(t *testing.T, s *stage) { act(t, s, map[string]any{"createImage": map[string]any{"name": "copy"}}) },
	},
	"server.resize": {prepare: withServer, begin: resize},
	"server.live_migrate": {hosts: 2, prepare: atHome(withAttached), begin: func(t *testing.T, s *stage) {
		s.cloud.Admin().Must(t, 202, "POST", s.path("/compute/v2.1/servers/%s/action", s.server),
			map[string]any{"os-migrateLive": map[string]any{"host": nil, "block_migration": "auto"}}, "OpenStack-API-Version", "compute 2.25")
	}},
	"server.confirm_resize": {prepare: withResized, begin: func(t *testing.T, s *stage) { act(t, s, map[string]any{"confirmResize": nil}) }},
	"server.revert_resize":  {prepare: withResized, begin: func(t *testing.T, s *stage) { act(t, s, map[string]any{"revertResize": nil}) }},
	"server.attach_volume": {
		prepare: func(t *testing.T, s *stage) { withServer(t, s); withVolume(t, s) },
		begin:   attach,
	},
	"server.detach_volume": {
		prepare: withAttached,
		begin: func(t *testing.T, s *stage) {
			s.demo.Must(t, 202, "DELETE", s.path("/compute/v2.1/servers/%s/os-volume_attachments/%s", s.server, s.volume), nil)
		},
	},
	"server.swap_volume": {prepare: withAnother, begin: swapVolume},
	"server.extend_volume": {
		prepare: withAttached,
		begin: func(t *testing.T, s *stage) {
			s.demo.Must(t, 202, "POST", s.path("/volume/v3/volumes/%s/action", s.volume),
				map[string]any{"os-extend": map[string]any{"new_size": 2}}, "OpenStack-API-Version", "volume 3.42")
		},
		// The volume stays as large as it has become.
		givenUp: left{quota: map[string]int{"gigabytes": 1, "gigabytes_ID": 1}, changed: map[string][]string{
			"volumes": {" size=1 ", " size=2 "}, "server_volumes": {" grown=0 ", " grown=2 "},
			"documents": {`"epoch":*}],"nics"`, `"epoch":*,"size_gb":2}],"nics"`, `{"id":"ID","size_gb":1,`, `{"id":"ID","size_gb":2,`},
		}},
	},
	"server.crash_dump": {
		prepare: withServer,
		begin:   func(t *testing.T, s *stage) { actAs(t, s.demo, s, map[string]any{"trigger_crash_dump": nil}) },
	},
	"server.shelve":         {prepare: withAttached, begin: shelve},
	"server.shelve_offload": {prepare: withBootVolume, begin: shelve},
	"server.unshelve": {
		prepare: func(t *testing.T, s *stage) { withAttached(t, s); shelve(t, s); s.cloud.Settle(t) },
		begin:   func(t *testing.T, s *stage) { act(t, s, map[string]any{"unshelve": nil}) },
	},
	"server.evacuate": {
		prepare: func(t *testing.T, s *stage) {
			atHome(withAttached)(t, s)
			lose(t, s, "node-1", true)
			t.Cleanup(func() { lose(t, s, "node-1", false) })
		},
		begin: adminDoes("evacuate", map[string]any{}),
		hosts: 2,
	},
	"server.attach_interface": {prepare: withServer, begin: plug},
	"server.detach_interface": {
		prepare: withServer,
		begin: func(t *testing.T, s *stage) {
			s.demo.Must(t, 202, "DELETE", s.path("/compute/v2.1/servers/%s/os-interface/%s", s.server, s.demo.PortOf(t, s.server)), nil)
		},
	},
	"volume.create": {
		begin: func(t *testing.T, s *stage) {
			s.demo.Must(t, 202, "POST", "/volume/v3/volumes", map[string]any{"volume": map[string]any{
				"name": "disk", "size": 1, "imageRef": s.demo.Image(t, "cirros")}})
		},
		givenUp: left{kind: "volumes", quota: map[string]int{"volumes": 1, "gigabytes": 1, "volumes_ID": 1, "gigabytes_ID": 1}},
	},
	"volume.delete": {
		prepare: withVolume,
		begin: func(t *testing.T, s *stage) {
			s.demo.Must(t, 202, "DELETE", s.path("/volume/v3/volumes/%s", s.volume), nil)
		},
		givenUp: left{kind: "volumes", before: true},
	},
	"volume.extend": {
		prepare: withVolume,
		begin: func(t *testing.T, s *stage) {
			s.demo.Must(t, 202, "POST", s.path("/volume/v3/volumes/%s/action", s.volume), map[string]any{"os-extend": map[string]any{"new_size": 2}})
		},
		givenUp: left{kind: "volumes", before: true},
	},
	"snapshot.create": {prepare: withVolume, begin: snapshot,
		givenUp: left{kind: "snapshots", quota: map[string]int{"snapshots": 1, "gigabytes": 1, "snapshots_ID": 1, "gigabytes_ID": 1}}},
	"snapshot.delete": {
		prepare: func(t *testing.T, s *stage) { withVolume(t, s); snapshot(t, s); s.cloud.Settle(t) },
		begin: func(t *testing.T, s *stage) {
			s.demo.Must(t, 202, "DELETE", s.path("/volume/v3/snapshots/%s", s.other), nil)
		},
		givenUp: left{kind: "snapshots", before: true},
	},
	"volume.migrate": {
		prepare: withVolume,
		begin: func(t *testing.T, s *stage) {
			var shown struct {
				Volume struct {
					Host string `json:"os-vol-host-attr:host"`
				}
			}
			s.cloud.Admin().Must(t, 200, "GET", "/volume/v3/volumes/"+s.volume, nil).JSON(t, &shown)
			to := "node-1"
			if strings.HasPrefix(shown.Volume.Host, to) {
				to = "node-2"
			}
			s.cloud.Admin().Must(t, 202, "POST", s.path("/volume/v3/volumes/%s/action", s.volume), map[string]any{
				"os-migrate_volume": map[string]any{"host": to + "@nacre"}})
		},
		hosts: 2,
	},
	"volume.manage": {
		prepare: func(_ *testing.T, s *stage) { s.cloud.App.Simulated.Disks["node-1"].AddStray("disk.img", 1) },
		begin: func(t *testing.T, s *stage) {
			s.cloud.Admin().Must(t, 202, "POST", "/volume/v3/manageable_volumes", map[string]any{"volume": map[string]any{
				"host": "node-1@nacre", "ref": map[string]any{"source-name": "disk.img"}}}, volumeLatest...)
		},
		givenUp: left{kind: "volumes", quota: map[string]int{"volumes": 1, "gigabytes": 1, "volumes_ID": 1, "gigabytes_ID": 1}, ofAdmin: true},
	},
	"volume.unmanage": {
		prepare: withVolume,
		begin: func(t *testing.T, s *stage) {
			s.cloud.Admin().Must(t, 202, "POST", s.path("/volume/v3/volumes/%s/action", s.volume), map[string]any{"os-unmanage": map[string]any{}})
		},
		givenUp: left{kind: "volumes", before: true},
	},
	"group.create": {
		begin:   group,
		givenUp: left{kind: "volume_groups", quota: map[string]int{"groups": 1}},
	},
	"group.delete": {
		prepare: withGroup,
		begin: func(t *testing.T, s *stage) {
			s.demo.Must(t, 202, "POST", s.path("/volume/v3/groups/%s/action", s.other), map[string]any{"delete": map[string]any{"delete-volumes": true}}, volumeLatest...)
		},
		givenUp: left{kind: "volume_groups", before: true},
	},
	"group_snapshot.create": {
		prepare: withGroup,
		begin:   groupSnapshot,
		givenUp: left{kind: "group_snapshots"},
	},
	"group_snapshot.delete": {
		prepare: func(t *testing.T, s *stage) { withGroup(t, s); groupSnapshot(t, s); s.cloud.Settle(t) },
		begin: func(t *testing.T, s *stage) {
			s.demo.Must(t, 202, "DELETE", s.path("/volume/v3/group_snapshots/%s", s.groupSnapshot), nil, volumeLatest...)
		},
		givenUp: left{kind: "group_snapshots", before: true},
	},
	"backup.create": {
		prepare: withContainer,
		begin:   func(t *testing.T, s *stage) { backup(t, s) },
		givenUp: left{kind: "volume_backups", quota: map[string]int{"backups": 1, "backup_gigabytes": 1}},
	},
	"backup.delete": {
		prepare: withBackup,
		begin: func(t *testing.T, s *stage) {
			s.demo.Must(t, 202, "DELETE", s.path("/volume/v3/backups/%s", s.other), nil)
		},
		givenUp: left{kind: "volume_backups", before: true},
	},
	"backup.restore": {
		prepare: withBackup,
		begin: func(t *testing.T, s *stage) {
			s.demo.Must(t, 202, "POST", s.path("/volume/v3/backups/%s/restore", s.other), map[string]any{"restore": map[string]any{"volume_id": s.volume}})
		},
		givenUp: left{kind: "volumes", before: true},
	},
	"backup.import": {
		prepare: withRecord,
		begin: func(t *testing.T, s *stage) {
			s.cloud.Admin().Must(t, 201, "POST", "/volume/v3/backups/import_record", s.record)
		},
		givenUp: left{kind: "volume_backups", quota: map[string]int{"backups": 1, "backup_gigabytes": 1}, ofAdmin: true},
	},
	"volume.upload": {
		prepare: withVolume,
		begin: func(t *testing.T, s *stage) {
			s.demo.Must(t, 202, "POST", s.path("/volume/v3/volumes/%s/action", s.volume),
				map[string]any{"os-volume_upload_image": map[string]any{"image_name": "i", "disk_format": "qcow2"}})
		},
	},
	"volume.revert": {
		prepare: func(t *testing.T, s *stage) { withVolume(t, s); snapshot(t, s); s.cloud.Settle(t) },
		begin: func(t *testing.T, s *stage) {
			s.demo.Must(t, 202, "POST", s.path("/volume/v3/volumes/%s/action", s.volume),
				map[string]any{"revert": map[string]any{"snapshot_id": s.other}}, "OpenStack-API-Version", "volume 3.40")
		},
		givenUp: left{kind: "volumes", before: true},
	},
	"volume.reimage": {
		prepare: withVolume,
		begin: func(t *testing.T, s *stage) {
			s.demo.Must(t, 202, "POST", s.path("/volume/v3/volumes/%s/action", s.volume),
				map[string]any{"os-reimage": map[string]any{"image_id": s.demo.Image(t, "cirros")}}, "OpenStack-API-Version", "volume 3.68")
		},
		givenUp: left{kind: "volumes", before: true},
	},
	"image.import": {
		prepare: withImage,
		begin: func(t *testing.T, s *stage) {
			importImage(t, s.demo, s, map[string]any{"name": "web-download", "uri": s.cloud.URL + "/identity/v3"})
		},
	},
	"image.copy": {
		prepare: func(t *testing.T, s *stage) {
			withImage(t, s)
			s.demo.Must(t, 204, "PUT", s.path("/image/v2/images/%s/file", s.image), []byte("bytes"))
		},
		begin: func(t *testing.T, s *stage) { importImage(t, s.cloud.Admin(), s, map[string]any{"name": "copy-image"}) },
	},
}

// Every plan goes through repetition, failure, kill and giving up at each of
// its steps, in the whole product. After each, what is left can be removed, and
// then the world is as it was at the beginning.
func TestEveryPlan(t *testing.T) {
	for name, line := range lines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTheatre(t, line)
			worktest.Exercise(t, func(t *testing.T) worktest.Case {
				s := h.stage(t)
				c := worktest.Case{
					Plan: line.plan, Engine: h.cloud.App.Engine,
					Start:  func(t *testing.T) { line.begin(t, s) },
					Settle: func(t *testing.T) { h.cloud.Still(t) },
					World:  func(t *testing.T) any { return plain(h.cloud.Snapshot(t)) },
				}
				if line.givenUp.kind != "" || line.givenUp.changed != nil {
					c.GivenUp = func(before any) any {
						owner := s.demo
						if line.givenUp.ofAdmin {
							owner = s.cloud.Admin()
						}
						return line.givenUp.addTo(before.(testcloud.World), owner.Project(t))
					}
				}
				return c
			})
		})
	}
}

// A plan without a line above is not tested.
func TestEveryPlanHasALine(t *testing.T) {
	var out bytes.Buffer
	err := app.Describe(t.Context(), &out, []string{"plans"}, "json", "")
	if err != nil {
		t.Fatal(err)
	}
	var plans []work.Description
	err = json.Unmarshal(out.Bytes(), &plans)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, p := range plans {
		known[p.Name] = true
		if planCases[p.Name].begin == nil {
			t.Errorf("plan %s has no line in planCases", p.Name)
		}
	}
	for name, line := range lines() {
		if !known[line.plan] {
			t.Errorf("line %s is for %s, which is no plan", name, line.plan)
		}
	}
}

// addTo is the world with what is left.
func (l left) addTo(w testcloud.World, project string) testcloud.World {
	if l.before {
		w[l.kind] = nil
	}
	for kind, change := range l.changed {
		for i, row := range w[kind] {
			w[kind][i] = strings.NewReplacer(change...).Replace(row)
		}
	}
	if l.kind != "" {
		w[l.kind] = append(w[l.kind], "in error")
	}
	for kind, row := range l.rows {
		w[kind] = append(w[kind], row)
	}
	slices.Sort(w[l.kind])
	for resource, more := range l.quota {
		start := "project=" + project + " resource=" + resource + " used="
		n := 0
		w["quota_usages"] = slices.DeleteFunc(w["quota_usages"], func(line string) bool {
			_, err := fmt.Sscanf(line, start+"%d", &n)
			return err == nil
		})
		w["quota_usages"] = append(w["quota_usages"], fmt.Sprint(start, n+more, " "))
	}
	slices.Sort(w["quota_usages"])
	return w
}

// plain is a world to compare with others. Of what is in error it only says so.
func plain(w testcloud.World) testcloud.World {
	w = w.Plain()
	for _, kind := range []string{"servers", "volumes", "snapshots", "volume_groups", "group_snapshots", "volume_backups"} {
		for i, line := range w[kind] {
			line = strings.Replace(line, " migration=error ", " migration= ", 1)
			w[kind][i] = line
			if strings.Contains(line, "vm_state=error ") || strings.Contains(line, " status=error") {
				w[kind][i] = "in error"
			}
		}
		slices.Sort(w[kind])
	}
	for i, line := range w["images"] {
		w["images"][i] = lastImport.ReplaceAllString(line, "") // tells what was tried
	}
	for _, kind := range []string{"aggregates", "aggregate_hosts"} {
		for i, line := range w[kind] {
			w[kind][i] = aggregateID.ReplaceAllString(line, "$1=ID") // PostgreSQL uses no number twice
		}
	}
	for i, line := range w["disks"] {
		// A host that has grown a volume leaves it so when the extension is given up.
		w["disks"][i] = gib.ReplaceAllString(line, "")
	}
	return w
}

var lastImport = regexp.MustCompile(` import=\S*`)

var aggregateID = regexp.MustCompile(`\b(id|aggregate)=\d+`)

var gib = regexp.MustCompile(` \d+ GiB`)
