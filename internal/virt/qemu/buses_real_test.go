package qemu

import (
	"context"
	"strings"
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/configdrive"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// TestFamilies boots a guest from each bus, and asks it what it has: its disks, a card
// and a disk that come while it runs, and that the disk is gone when it goes. What
// cannot be plugged is refused, and there when the guest starts anew.
func TestFamilies(t *testing.T) {
	drive, err := configdrive.Build(map[string][]byte{"openstack/latest/meta_data.json": []byte(`{"hostname": "inside.novalocal"}`)})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		hardware nodeapi.Hardware
		root     string   // bus
		disks    []string // buses, and cdrom for a CD on SATA
		late     string   // bus of the disk that comes later
		cold     bool     // the card is there from the start
		sees     []string // the disks by the drivers of their controllers
		card     string   // its driver
	}{
		"sata": {
			nodeapi.Hardware{DiskBus: "sata", CDROMBus: "sata", NIC: "e1000"}, "sata", []string{"sata", "cdrom"}, "sata", false,
			[]string{"ahci root", "ahci 65536", "sr0 ahci config", "sr1 ahci 65536"}, "e1000",
		},
		"lsilogic": {
			nodeapi.Hardware{DiskBus: "scsi", NIC: "pcnet"}, "scsi", []string{"scsi"}, "virtio", false,
			[]string{"sym53c8xx root", "sym53c8xx 65536", "sr0 sym53c8xx config"}, "pcnet32",
		},
		"virtio-scsi": {
			nodeapi.Hardware{DiskBus: "scsi", SCSI: "virtio-scsi", NIC: "rtl8139"}, "scsi", []string{"scsi"}, "scsi", true,
			[]string{"virtio_scsi root", "virtio_scsi 65536", "sr0 virtio_scsi config"}, "8139cp",
		},
		"usb": {
			nodeapi.Hardware{DiskBus: "usb", CDROMBus: "usb", NIC: "vmxnet3"}, "usb", nil, "usb", false,
			[]string{"usb-storage root", "usb-storage config"}, "vmxnet3",
		},
		"ide": {
			nodeapi.Hardware{MachineType: "pc", DiskBus: "ide", CDROMBus: "ide", NIC: "ne2k_pci"}, "ide", []string{"ide"}, "ide", false,
			[]string{"ata_piix root", "ata_piix 65536", "sr0 ata_piix config"}, "ne2k-pci",
		},
		"mixed": {
			nodeapi.Hardware{MachineType: "pc", SCSI: "vmpvscsi", NIC: "e1000e"}, "virtio", []string{"scsi", "sata", "usb"}, "virtio", false,
			[]string{"vmw_pvscsi 65536", "ahci 65536", "usb-storage 65536", "sr0 vmw_pvscsi config"}, "e1000e",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLabOf(t, true)
			h := l.open()
			m := virt.Machine{
				ID: clock.UUID(), VCPUs: 1, MemoryMB: 192, Running: true, ConfigDrive: drive, Hardware: test.hardware,
				Root: &virt.Root{Image: "guest", SizeGB: 1, Bus: test.root},
			}
			volume := func(bus string, size int64) virt.Disk {
				d := l.diskOf(t, clock.UUID(), size)
				d.Bus, d.CDROM = bus, bus == "cdrom"
				if d.CDROM {
					d.Bus = "sata"
				}
				return d
			}
			for _, bus := range test.disks {
				m.Disks = append(m.Disks, volume(bus, 32<<20))
			}
			if test.cold {
				m.NICs = []virt.NIC{l.nic(t, clock.UUID())}
			}
			ensure := func() error { return h.Ensure(t.Context(), m) }
			err := ensure()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { h.Remove(context.Background(), m.ID) })
			s := l.signIn(t, h, m.ID)
			size := strings.NewReplacer("root", "2097152", "config", itoa(len(drive)/512))
			s.sees(t, test.sees, size)
			if test.cold { // looking for a lease leaves it the address that it has of itself
				eventually(t, 30*time.Second, "IPv6 address of the card", func() bool {
					return strings.Contains(s.run("cat /proc/net/if_inet6"), "fe80")
				})
			}

			// Another driver finds them where they are.
			h = l.open()
			s = l.signIn(t, h, m.ID)
			late := volume(test.late, 48<<20)
			m.Disks = append(m.Disks, late)
			if !test.cold {
				m.NICs = []virt.NIC{l.nic(t, clock.UUID())}
			}
			err = ensure()
			plugs := test.late != "sata" && test.late != "ide"
			if refused := errs.Is(err, errs.Conflict); refused == plugs || plugs && err != nil {
				t.Errorf("a disk on %s that comes while the guest runs gives %v", test.late, err)
			}
			if !plugs {
				m.Disks = m.Disks[:len(m.Disks)-1]
				err = ensure()
				if err != nil {
					t.Fatal(err)
				}
				gone := m.Disks[0]
				m.Disks = m.Disks[1:]
				err = ensure()
				if !errs.Is(err, errs.Conflict) {
					t.Errorf("a disk on %s that is to go while the guest runs gives %v, want a conflict", gone.Bus, err)
				}
			}
			eventually(t, 30*time.Second, "card in the guest", func() bool {
				return strings.Contains(s.run("readlink /sys/class/net/eth0/device/driver"), "/"+test.card+"\r\n")
			})
			address := state(t, h, m.ID).Addresses[m.NICs[0].ID]
			if got := s.run("readlink /sys/class/net/eth0/device"); address == "" || !strings.Contains(got, "/"+address+"\r\n") {
				t.Errorf("the card is at %q, want %q", got, address)
			}
			if !plugs {
				return
			}
			there := func() bool { return strings.Contains(s.run("cat /sys/block/[sv]d*/size"), "98304") }
			eventually(t, 30*time.Second, "late disk in the guest", there)
			m.Disks = m.Disks[:len(m.Disks)-1]
			err = ensure()
			if err != nil {
				t.Errorf("unplug: %v", err)
			}
			eventually(t, 30*time.Second, "guest without the late disk", func() bool { return !there() })
		})
	}
}

// signIn waits for the guest's login and signs in, unless somebody has.
func (l *lab) signIn(t *testing.T, h *Host, id string) *typist {
	t.Helper()
	conn, err := h.Serial(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &typist{t: t, conn: conn}
	log, err := h.Log(t.Context(), id, -1)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(log), "assword: ") {
		return s
	}
	if !strings.Contains(string(log), "inside login: ") { // the name is from the config drive
		s.await("inside login: ", 8*time.Minute) // firmware reads from IDE word by word
	}
	s.send("cirros")
	s.await("assword: ", 60*time.Second)
	s.send("gocubsgo")
	s.await("$ ", 60*time.Second)
	return s
}

// sees compares the disks behind SCSI controllers, as Linux has them, with those that
// are wanted.
func (s *typist) sees(t *testing.T, want []string, sizes *strings.Replacer) {
	t.Helper()
	got := s.run(`for b in /sys/block/s[dr]*; do h=$(readlink -f $b | sed 's,.*/host\([0-9]*\)/.*,\1,'); echo "disk ${b##*/} $(cat /sys/class/scsi_host/host$h/proc_name) $(cat $b/size)"; done`)
	for _, disk := range want {
		if !strings.Contains(got, sizes.Replace(disk)+"\r\n") {
			t.Errorf("no %q in what the guest sees: %s", sizes.Replace(disk), got)
		}
	}
	if n := strings.Count(got, "disk s"); n != len(want) {
		t.Errorf("the guest sees %d disks, want %d: %s", n, len(want), got)
	}
}
