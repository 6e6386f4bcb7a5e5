package compute

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"nacre/internal/boolean"
	"nacre/internal/compute/scheduler"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/work"
)

// What a guest's machine has other than usual is said by properties of its image and
// by extra specs of its flavor, in Nova's words. docs/hardware.md lists them.

// word is a property of images, an extra spec of flavors, or both of one meaning,
// and what it may be.
type word struct {
	image, flavor string
	allowed       []string
	pattern       *regexp.Regexp
}

var truth = []string{"true", "false", "yes", "no", "on", "off", "1", "0", "t", "f", "y", "n", "True", "False", "Yes", "No", "TRUE", "FALSE"}

var hardwareWords = []word{
	{image: "hw_firmware_type", allowed: []string{"bios", "uefi"}},
	{image: "os_secure_boot", flavor: "os:secure_boot", allowed: []string{"required", "optional", "disabled"}},
	{image: "hw_machine_type", pattern: regexp.MustCompile(`^(pc|q35|pc-(q35|i440fx)-[0-9]+\.[0-9]+)$`)},
	{image: "hw_disk_bus", allowed: buses},
	{image: "hw_cdrom_bus", allowed: cdromBuses},
	{image: "hw_scsi_model", allowed: []string{"virtio-scsi", "lsilogic", "lsisas1068", "lsisas1078", "vmpvscsi"}},
	{image: "hw_boot_menu", flavor: "hw:boot_menu", allowed: truth},
	{image: "hw_video_model", allowed: []string{"vga", "cirrus", "qxl", "virtio", "bochs", "none"}},
	{image: "hw_video_ram", pattern: number},
	{flavor: "hw_video:ram_max_mb", pattern: number},
	{image: "hw_watchdog_action", flavor: "hw:watchdog_action", allowed: []string{"reset", "poweroff", "pause", "none", "disabled"}},
	{image: "hw_rng_model", allowed: []string{"virtio"}},
	{flavor: "hw_rng:allowed", allowed: truth},
	{flavor: "hw_rng:rate_bytes", pattern: number},
	{flavor: "hw_rng:rate_period", pattern: number},
	{image: "hw_vif_model", allowed: []string{"virtio", "e1000", "e1000e", "ne2k_pci", "pcnet", "rtl8139", "vmxnet3"}},
	{image: "hw_pointer_model", allowed: []string{"usbtablet"}},
	{image: driveKey, allowed: []string{"optional", driveNeeded}},
}

var number = regexp.MustCompile(`^[0-9]{1,9}$`)

// supported says what a word may be, as far as that can be listed.
func (w word) supported() string {
	if len(w.allowed) == 0 {
		return ""
	}
	return "; it may be " + strings.Join(w.allowed, ", ")
}

func (w word) accepts(value string) bool {
	if w.pattern != nil {
		return w.pattern.MatchString(value)
	}
	return slices.Contains(w.allowed, value)
}

// checkHardware tells whether a machine can be what image and flavor say.
func checkHardware(image map[string]string, flavor Flavor) error {
	specs := flavor.ExtraSpecs.V
	for _, w := range hardwareWords {
		value, said := image[w.image]
		if said && w.image != "" && !w.accepts(value) {
			return errs.BadRequestf("Invalid image metadata. Error: %s has the value %q, which is not supported%s", w.image, value, w.supported())
		}
		value, said = specs[w.flavor]
		if said && w.flavor != "" && !w.accepts(value) {
			return errs.BadRequestf("Validation failed; extra spec '%s' of flavor %s has the value %q, which is not supported%s", w.flavor, flavor.Name, value, w.supported())
		}
	}
	err := checkQuotas(flavor)
	if err != nil {
		return err
	}
	secure := []string{image["os_secure_boot"], specs["os:secure_boot"]}
	switch {
	case slices.Contains(secure, "required") && slices.Contains(secure, "disabled"):
		return errs.BadRequestf("Conflict between flavor and image: secure boot is required by one and disabled by the other")
	case slices.Contains(secure, "required") && image["hw_firmware_type"] != "uefi":
		return errs.BadRequestf("Secure boot is required, and image property hw_firmware_type is not uefi")
	}
	ram, most := amount(image["hw_video_ram"]), amount(specs["hw_video:ram_max_mb"])
	if image["hw_video_ram"] != "" && ram > most {
		return errs.BadRequestf("The requested amount of video memory %d is higher than the maximum allowed by flavor %d.", ram, most)
	}
	return nil
}

// An image whose guests read nothing but a config drive says so.
const driveKey, driveNeeded = "img_config_drive", "mandatory"

// takeDrive gives the server a config drive when its image wants one.
func (server *Server) takeDrive() {
	server.ConfigDrive = server.ConfigDrive || server.ImageProperties.V[driveKey] == driveNeeded
}

// usualShutdown is how long a guest may take to shut down, and longestShutdown what
// its image may make of that.
const usualShutdown, longestShutdown = time.Minute, 24 * time.Hour

// shutdownSeconds is how long the guest may take to shut down as its image says: 0 for
// not at all, nil for as long as others. What is no number counts as nothing, as in Nova.
func (server Server) shutdownSeconds() *int {
	n, err := strconv.Atoi(strings.TrimSpace(server.ImageProperties.V["os_shutdown_timeout"]))
	if err != nil {
		return nil
	}
	return new(min(max(n, 0), int(longestShutdown.Seconds())))
}

// shutdown lets a plan that shuts the guest down wait for one that may take longer
// than others.
func (server Server) shutdown() work.Option {
	var more time.Duration
	if n := server.shutdownSeconds(); n != nil {
		more = max(time.Duration(*n)*time.Second-usualShutdown, 0)
	}
	return work.Longer(more)
}

// amount reads a number that was checked.
func amount(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// The firmwares that are not the usual one, as a machine's disk of variables says it.
const (
	firmwareUEFI   = "uefi"
	firmwareSecure = "secure"
)

// firmware is what the server boots by, "" for the BIOS.
func (server Server) firmware() string {
	image := server.ImageProperties.V
	switch {
	case image["hw_firmware_type"] != "uefi":
		return ""
	case image["os_secure_boot"] == "required", server.Flavor.V.ExtraSpecs.V["os:secure_boot"] == "required":
		return firmwareSecure
	}
	return firmwareUEFI
}

// variables is the disk that the firmware keeps its variables on. It lives with the
// server as the others do, and the guest does not see it as a disk.
func (server Server) variables() []nodeapi.Blank {
	kind := server.firmware()
	if kind == "" {
		return nil
	}
	return []nodeapi.Blank{{Name: nodeapi.Variables, Format: kind, Rebuilds: server.Rebuilds}}
}

// needFirmware asks for a host that has the firmware.
func needFirmware(server Server, r *scheduler.Request) {
	switch server.firmware() {
	case firmwareSecure:
		r.Required = append(r.Required, "COMPUTE_FIRMWARE_UEFI", "COMPUTE_SECURITY_UEFI_SECURE_BOOT")
	case firmwareUEFI:
		r.Required = append(r.Required, "COMPUTE_FIRMWARE_UEFI")
	}
}

// hardware is what the server's machine has other than usual.
func (server Server) hardware() *nodeapi.Hardware {
	image, specs := server.ImageProperties.V, server.Flavor.V.ExtraSpecs.V
	h := nodeapi.Hardware{
		MachineType: image["hw_machine_type"],
		BootMenu:    boolean.Is(image["hw_boot_menu"]) || boolean.Is(specs["hw:boot_menu"]),
		Video:       image["hw_video_model"],
		VideoMB:     amount(image["hw_video_ram"]),
		Watchdog:    image["hw_watchdog_action"],
		NoRNG:       specs["hw_rng:allowed"] != "" && !boolean.Is(specs["hw_rng:allowed"]),
		RNGBytes:    amount(specs["hw_rng:rate_bytes"]),
		RNGPeriod:   amount(specs["hw_rng:rate_period"]),
		NIC:         image["hw_vif_model"],
		Tablet:      image["hw_pointer_model"] == "usbtablet",
		DiskBus:     server.Buses.V.Disk,
		SCSI:        image["hw_scsi_model"],
		CDROMBus:    image["hw_cdrom_bus"],
	}
	if h.Watchdog == "" {
		h.Watchdog = specs["hw:watchdog_action"]
	}
	if h.Watchdog == "disabled" {
		h.Watchdog = ""
	}
	if h == (nodeapi.Hardware{}) {
		return nil
	}
	return &h
}
