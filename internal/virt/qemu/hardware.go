package qemu

import (
	"cmp"
	"fmt"
	"math/bits"
	"os"
	"regexp"
	"slices"
	"strings"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// firmware is a UEFI firmware of Debian's package ovmf: its code, which guests
// share, and the variables that each begins with.
type firmware struct{ code, variables string }

// firmwares are by the format of a machine's disk of variables.
var firmwares = map[string]firmware{
	"uefi":   {"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
	"secure": {"/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"}, // with the usual keys enrolled
}

// hardwareTraits are what the host can boot guests by, and what it can give them.
func hardwareTraits() []string {
	traits := []string{"COMPUTE_FIRMWARE_BIOS"}
	for bus := range units {
		traits = append(traits, "COMPUTE_STORAGE_BUS_"+strings.ToUpper(bus))
	}
	for model := range cards {
		if model != "" {
			traits = append(traits, "COMPUTE_NET_VIF_MODEL_"+strings.ToUpper(model))
		}
	}
	for format, trait := range map[string]string{"uefi": "COMPUTE_FIRMWARE_UEFI", "secure": "COMPUTE_SECURITY_UEFI_SECURE_BOOT"} {
		if firmwares[format].there() == nil {
			traits = append(traits, trait)
		}
	}
	return traits
}

func (f firmware) there() error {
	for _, path := range []string{f.code, f.variables} {
		_, err := os.Stat(path)
		if err != nil {
			return errs.Conflictf("UEFI is not supported: this host has no firmware (Debian package ovmf)").Because(err)
		}
	}
	return nil
}

// machineArgs are the machine's type and what it boots by.
func machineArgs(m virt.Machine) []string {
	kind := cmp.Or(m.Hardware.MachineType, "q35")
	boot := "strict=on"
	if m.Hardware.BootMenu {
		boot = "strict=on,menu=on,splash-time=5000"
	}
	variables, uefi := findBlank(m.Blanks, nodeapi.Variables)
	if !uefi {
		return []string{"-machine", kind, "-boot", boot}
	}
	var args []string
	if variables.Format == "secure" {
		// Only code in system management mode writes the variables, which nobody wakes
		// from a sleep past.
		kind += ",smm=on"
		args = append(args, "-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1")
	}
	return append([]string{
		"-blockdev", options{"driver": "raw", "node-name": "firmware", "read-only": true,
			"file": options{"driver": "file", "filename": firmwares[variables.Format].code}}.String(),
		"-blockdev", localNode(nodeapi.Variables).String(),
		"-machine", kind + ",pflash0=firmware,pflash1=" + nodeapi.Variables, "-boot", boot,
	}, args...)
}

// screens are QEMU's devices for models of screens.
var screens = map[string]string{"": "VGA", "vga": "VGA", "cirrus": "cirrus-vga", "qxl": "qxl-vga", "virtio": "virtio-vga", "bochs": "bochs-display"}

// screenMemory is the property that says how much memory a screen has, and whether
// that is in bytes.
var screenMemory = map[string]string{"VGA": "vgamem_mb", "cirrus-vga": "vgamem_mb", "qxl-vga": "vgamem_mb", "bochs-display": "vgamem"}

// extraArgs are the screen, the source of random numbers, the watchdog and the
// pointer.
func extraArgs(h nodeapi.Hardware) []string {
	var args []string
	if device := screens[h.Video]; device != "" {
		if memory := screenMemory[device]; memory != "" && h.VideoMB > 0 {
			// It has to be a power of two.
			device += fmt.Sprintf(",%s=%d", memory, 1<<bits.Len(uint(max(h.VideoMB, 1)-1)))
			if memory == "vgamem" {
				device += "M"
			}
		}
		args = append(args, "-device", device)
	}
	if !h.NoRNG {
		device := "virtio-rng-pci,rng=rng"
		if h.RNGBytes > 0 {
			period := h.RNGPeriod
			if period == 0 {
				period = 1000
			}
			device += fmt.Sprintf(",max-bytes=%d,period=%d", h.RNGBytes, period)
		}
		args = append(args, "-object", "rng-random,id=rng,filename=/dev/urandom", "-device", device)
	}
	if h.Watchdog != "" {
		args = append(args, "-device", "i6300esb", "-action", "watchdog="+h.Watchdog)
	}
	if h.Tablet {
		args = append(args, "-device", "qemu-xhci,id=pointer", "-device", "usb-tablet,bus=pointer.0")
	}
	return args
}

// cards are QEMU's devices for models of network cards.
var cards = map[string]string{
	"": "virtio-net-pci", "virtio": "virtio-net-pci", "e1000": "e1000", "e1000e": "e1000e",
	"rtl8139": "rtl8139", "ne2k_pci": "ne2k_pci", "pcnet": "pcnet", "vmxnet3": "vmxnet3",
}

var machineType = regexp.MustCompile(`^(pc|q35|pc-(q35|i440fx)-[0-9]+\.[0-9]+)$`)

// checkMachine refuses what cannot be built here.
func checkMachine(m virt.Machine) error {
	h := m.Hardware
	_, screen := screens[h.Video]
	_, card := cards[h.NIC]
	switch {
	case !screen && h.Video != "none":
		return errs.BadRequestf("The video model %q is not supported.", h.Video)
	case !card:
		return errs.BadRequestf("Virtual interface model %q is not supported.", h.NIC)
	case !slices.Contains([]string{"", "reset", "poweroff", "pause", "none"}, h.Watchdog):
		return errs.BadRequestf("The watchdog action %q is not supported.", h.Watchdog)
	case h.MachineType != "" && !machineType.MatchString(h.MachineType):
		return errs.BadRequestf("The machine type %q is not supported.", h.MachineType)
	}
	variables, uefi := findBlank(m.Blanks, nodeapi.Variables)
	switch {
	case uefi && variables.Format == "secure" && isPC(h.MachineType):
		return errs.BadRequestf("Secure boot is not supported by machine type %s.", h.MachineType)
	case uefi:
		err := firmwares[variables.Format].there()
		if err != nil {
			return err
		}
	}
	return checkBuses(m)
}
