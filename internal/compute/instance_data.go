package compute

import (
	"cmp"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"nacre/internal/nodeapi"
	"nacre/internal/vif"
)

// instanceData is what a guest is told about itself, by the metadata service
// or on its config drive: the same content both ways.
type instanceData struct {
	server  Server
	secrets secrets
	ports   []vif.Port
	cards   []Card
	volumes []Attachment
	cpus    *nodeapi.Topology
	zone    string
	static  json.RawMessage

	addresses map[string]string // of its devices on PCI, as far as its host has told
	drive     bool              // this is for a config drive, which nobody else reads
}

func (s *Service) instanceData(server Server, secret secrets, ports []vif.Port, cards []Card, volumes []Attachment, cpus *nodeapi.Topology) instanceData {
	return instanceData{server, secret, ports, cards, volumes, cpus, s.ZoneOf(server.Host), s.vendor.Static(), nil, false}
}

// The versions of the two trees, oldest first. A guest may ask for any.
var (
	ec2Versions = []string{"1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01", "2009-04-04", "latest"}
	ourVersions = []string{"2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30", "2016-10-06", "2017-02-22", "2018-08-27", "2020-10-14", "latest"}
)

// seedBytes is how long the guest's random seed is.
const seedBytes = 512

// domain is appended to host names, as Nova's default is.
const domain = ".novalocal"

type keyData struct {
	Data string `json:"data"`
	Type string `json:"type"`
	Name string `json:"name"`
}

type deviceData struct {
	Type    string   `json:"type"`
	Bus     string   `json:"bus"`
	Address string   `json:"address"`
	MAC     string   `json:"mac,omitempty"`
	Serial  string   `json:"serial,omitempty"`
	Path    string   `json:"path,omitempty"`
	Tags    []string `json:"tags"`
}

type metaData struct {
	UUID       string            `json:"uuid"`
	Meta       map[string]string `json:"meta,omitempty"`
	Hostname   string            `json:"hostname"`
	Name       string            `json:"name"`
	Launch     int               `json:"launch_index"`
	Zone       string            `json:"availability_zone"`
	PublicKeys map[string]string `json:"public_keys,omitempty"`
	Keys       []keyData         `json:"keys,omitempty"`
	Seed       string            `json:"random_seed,omitempty"`
	Project    string            `json:"project_id,omitempty"`
	AdminPass  string            `json:"admin_pass,omitempty"` // on config drives alone
	Devices    []deviceData      `json:"devices,omitempty"`
	CPUs       *[]int            `json:"dedicated_cpus,omitempty"`
	Files      []fileData        `json:"files,omitempty"`
}

func (d instanceData) metaData(version string) metaData {
	m := metaData{
		UUID: d.server.ID, Meta: d.server.Metadata.V, Hostname: d.server.Hostname + domain, Name: d.server.Name,
		Launch: d.server.LaunchIndex, Zone: d.zone, Files: d.fileList(),
	}
	if d.server.KeyName != nil {
		m.PublicKeys = map[string]string{*d.server.KeyName: d.secrets.PublicKey}
		m.Keys = []keyData{{d.secrets.PublicKey, d.secrets.KeyType, *d.server.KeyName}}
	}
	if d.drive {
		m.AdminPass = d.secrets.AdminPass
		if d.server.Rescue.V != nil {
			m.AdminPass = d.server.Rescue.V.AdminPass
		}
	}
	if version >= "2013-04-04" {
		m.Seed = base64.StdEncoding.EncodeToString(grow(d.secrets.Seed, seedBytes))
	}
	if version >= "2015-10-15" {
		m.Project = d.server.Project
	}
	if version >= "2016-06-30" {
		m.Devices = d.devices()
	}
	if version >= "2020-10-14" {
		m.CPUs = d.dedicated()
	}
	return m
}

// dedicated are the guest's processors that have one of the host's alone.
func (d instanceData) dedicated() *[]int {
	list := []int{}
	if d.cpus != nil {
		for _, cell := range d.cpus.Cells {
			list = slices.AppendSeq(list, maps.Keys(cell.Pins))
		}
	}
	slices.Sort(list)
	return &list
}

// grow makes many random bytes of a few. They are the same each time, so that a
// machine's document only changes when something else does.
func grow(seed string, n int) []byte {
	var out []byte
	for i := 0; len(out) < n; i++ {
		sum := sha512.Sum512(fmt.Appendf(nil, "%s/%d", seed, i))
		out = append(out, sum[:]...)
	}
	return out[:n]
}

// devices are the tagged ones.
func (d instanceData) devices() []deviceData {
	var list []deviceData
	for _, card := range d.cards {
		at := slices.IndexFunc(d.ports, func(p vif.Port) bool { return p.ID == card.Port })
		if card.Tag != nil && at >= 0 {
			list = append(list, deviceData{Type: "nic", Bus: "pci", Address: d.addressOf(card.Port), MAC: d.ports[at].MAC, Tags: []string{*card.Tag}})
		}
	}
	disk := func(name, bus, path, serial string, tag *string) {
		if tag != nil {
			list = append(list, deviceData{Type: "disk", Bus: shownBus(bus), Address: d.addressOf(name), Path: path, Serial: serial, Tags: []string{*tag}})
		}
	}
	for _, a := range d.volumes {
		disk(a.Volume, a.Bus, a.Device, a.Volume, a.Tag)
	}
	devices := d.server.blankDevices(d.volumes)
	for i, b := range d.server.blanks() {
		disk(b.Name, b.Bus, devices[i], "", d.server.tagOf(b.Name))
	}
	return list
}

// none is what guests are told where nothing is known.
const none = "none"

// addressOf is where a device is on PCI. As in Nova, what is elsewhere has no address.
func (d instanceData) addressOf(name string) string { return cmp.Or(d.addresses[name], none) }

// shownBus is a bus of disks in the words of Nova's metadata, which has none for SATA.
func shownBus(bus string) string {
	switch bus {
	case "", busVirtio:
		return "pci"
	case "sata":
		return none
	}
	return bus
}

type networkData struct {
	Links    []linkData    `json:"links"`
	Networks []network     `json:"networks"`
	Services []serviceData `json:"services"`
}

type linkData struct {
	ID   string `json:"id"`
	VIF  string `json:"vif_id"`
	Type string `json:"type"`
	MTU  int    `json:"mtu"`
	MAC  string `json:"ethernet_mac_address"`
}

type network struct {
	ID       string        `json:"id"`
	Type     string        `json:"type"`
	Link     string        `json:"link"`
	IP       string        `json:"ip_address,omitempty"`
	Mask     string        `json:"netmask,omitempty"`
	Routes   []routeData   `json:"routes,omitempty"`
	Network  string        `json:"network_id"`
	Services []serviceData `json:"services,omitempty"`
}

type routeData struct {
	Network string `json:"network"`
	Mask    string `json:"netmask"`
	Gateway string `json:"gateway"`
}

type serviceData struct {
	Type    string `json:"type"`
	Address string `json:"address"`
}

func (d instanceData) networkData() networkData {
	out := networkData{Links: []linkData{}, Networks: []network{}, Services: []serviceData{}}
	for _, p := range d.ports {
		link := linkData{ID: "tap" + p.ID[:min(11, len(p.ID))], VIF: p.ID, Type: "ovs", MTU: p.MTU, MAC: p.MAC}
		out.Links = append(out.Links, link)
		for _, a := range p.Addresses {
			var on vif.Subnet
			if a.On != nil {
				on = *a.On
			}
			n := address(a, on)
			n.ID, n.Link, n.Network = fmt.Sprintf("network%d", len(out.Networks)), link.ID, p.Network
			out.Networks = append(out.Networks, n)
			for _, dns := range on.DNS {
				s := serviceData{"dns", dns}
				if !slices.Contains(out.Services, s) {
					out.Services = append(out.Services, s)
				}
			}
		}
	}
	return out
}

// address says how the guest gets its address: by DHCP, or written out.
func address(a vif.Address, on vif.Subnet) network {
	prefix, err := netip.ParsePrefix(on.CIDR)
	version := "ipv4"
	if strings.Contains(a.IP, ":") {
		version = "ipv6"
	}
	if on.DHCP || err != nil {
		return network{Type: version + "_dhcp"}
	}
	n := network{Type: version, IP: a.IP, Mask: mask(prefix)}
	if on.Gateway != "" {
		whole := netip.MustParsePrefix("0.0.0.0/0")
		if version == "ipv6" {
			whole = netip.MustParsePrefix("::/0")
		}
		n.Routes = append(n.Routes, routeData{whole.Addr().String(), mask(whole), on.Gateway})
	}
	for _, r := range on.Routes {
		to, err := netip.ParsePrefix(r.Destination)
		if err == nil {
			n.Routes = append(n.Routes, routeData{to.Addr().String(), mask(to), r.NextHop})
		}
	}
	for _, dns := range on.DNS {
		n.Services = append(n.Services, serviceData{"dns", dns})
	}
	return n
}

// mask spells a prefix length as dotted or colon mask.
func mask(p netip.Prefix) string {
	size := 4
	if p.Addr().Is6() {
		size = 16
	}
	b := make([]byte, size)
	for i := range p.Bits() {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a.String()
}

// tree is a folder of the EC2 tree: texts and further folders.
type tree map[string]any

// ec2 is the meta-data folder of the EC2 tree.
func (d instanceData) ec2() tree {
	id := "i-" + strings.ReplaceAll(d.server.ID, "-", "")[:8]
	t := tree{
		"ami-id": "None", "ami-launch-index": fmt.Sprint(d.server.LaunchIndex), "ami-manifest-path": "FIXME",
		"instance-id": id, "instance-type": d.server.Flavor.V.Name, "instance-action": "none",
		"hostname": d.server.Hostname + domain, "local-hostname": d.server.Hostname + domain,
		"reservation-id":       d.server.Reservation,
		"placement":            tree{"availability-zone": d.zone},
		"block-device-mapping": d.blockDevices(),
	}
	if d.server.Image != "" {
		t["ami-id"] = "ami-" + strings.ReplaceAll(d.server.Image, "-", "")[:8]
	}
	var fixed, floating, groups []string
	for _, p := range d.ports {
		for _, a := range p.Addresses {
			if !strings.Contains(a.IP, ":") {
				fixed = append(fixed, a.IP)
			}
			floating = append(floating, a.Floating...)
		}
		for _, g := range p.Groups {
			groups = append(groups, g.Name)
		}
	}
	t["local-ipv4"], t["public-ipv4"], t["public-hostname"] = first(fixed), first(floating), d.server.Hostname+domain
	t["security-groups"] = strings.Join(groups, "\n")
	if d.server.KeyName != nil {
		t["public-keys"] = tree{"0": tree{"openssh-key": d.secrets.PublicKey}}
	}
	return t
}

// blockDevices says what is behind the names of disks.
func (d instanceData) blockDevices() tree {
	t := tree{"ami": strings.TrimPrefix(d.server.RootDevice, "/dev/"), "root": d.server.RootDevice}
	devices := d.server.blankDevices(d.volumes)
	for i, b := range d.server.blanks() {
		t[b.Name] = devices[i]
	}
	var volumes []string
	for _, a := range d.volumes {
		volumes = append(volumes, a.Device)
	}
	slices.Sort(volumes)
	for i, name := range volumes {
		t[fmt.Sprintf("ebs%d", i)] = name
	}
	return t
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// userData is the user data as the guest gets it; nil when there is none.
func (d instanceData) userData() []byte {
	if d.secrets.UserData == "" {
		return nil
	}
	text := strings.Join(strings.Fields(d.secrets.UserData), "")
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return []byte(d.secrets.UserData) // checked at the door; shown as it is rather than lost
	}
	return raw
}

// folder is one version of the OpenStack tree: what is in it, by file name.
func (d instanceData) folder(version string) (map[string][]byte, error) {
	files := map[string]any{"meta_data.json": d.metaData(version)}
	if version >= vendorSince {
		files["vendor_data.json"] = d.static
	}
	if version >= "2015-10-15" {
		files["network_data.json"] = d.networkData()
	}
	if version >= vendor2Since {
		files["vendor_data2.json"] = d.vendorData2()
	}
	out := map[string][]byte{}
	for name, content := range files {
		text, err := json.Marshal(content)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", name, err)
		}
		out[name] = text
	}
	if data := d.userData(); data != nil {
		out["user_data"] = data
	}
	return out, nil
}

// files is the content of a config drive by path.
func (d instanceData) files() (map[string][]byte, error) {
	out := map[string][]byte{}
	d.drive = true
	for _, version := range ourVersions {
		folder, err := d.folder(version)
		if err != nil {
			return nil, err
		}
		for name, content := range folder {
			out["openstack/"+version+"/"+name] = content
		}
	}
	for name, content := range d.content() {
		out["openstack/content/"+name] = content
	}
	text, err := json.Marshal(d.ec2JSON())
	if err != nil {
		return nil, fmt.Errorf("write meta-data.json: %w", err)
	}
	for _, version := range []string{"2009-04-04", "latest"} {
		out["ec2/"+version+"/meta-data.json"] = text
		if data := d.userData(); data != nil {
			out["ec2/"+version+"/user-data"] = data
		}
	}
	return out, nil
}

// ec2JSON is the EC2 tree as one object, as config drives have it.
func (d instanceData) ec2JSON() map[string]any {
	out := map[string]any{}
	maps.Copy(out, d.ec2())
	if d.server.KeyName != nil {
		out["public-keys"] = map[string]any{"0": map[string]string{"openssh-key": d.secrets.PublicKey, "_name": "0=" + *d.server.KeyName}}
	}
	return out
}
