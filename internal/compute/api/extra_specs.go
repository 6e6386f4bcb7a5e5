package api

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"nacre/internal/boolean"
	"nacre/internal/errs"
)

// Since 2.86 extra specs are checked when they are written: a name in one of the
// namespaces below has to be among these, with a value of its form. Names of other
// namespaces, and names without one, are the operator's own.

// specValue says what is wrong with a value of an extra spec, "" when nothing is.
type specValue func(value string) string

// specForm is the name and the values of an extra spec.
type specForm struct {
	name  *regexp.Regexp
	value specValue
}

func whole(pattern string) *regexp.Regexp { return regexp.MustCompile(`^(?:` + pattern + `)$`) }

func anyText(string) string { return "" }

func truth(value string) string {
	_, ok := boolean.Parse(strings.TrimSpace(value))
	if !ok {
		return "is not a valid boolean-like value"
	}
	return ""
}

func oneOf(words ...string) specValue {
	return func(value string) string {
		if !slices.Contains(words, value) {
			return "is not one of: " + strings.Join(words, ", ")
		}
		return ""
	}
}

func like(pattern string) specValue {
	form := whole(pattern)
	return func(value string) string {
		if !form.MatchString(value) {
			return "is not of the format '" + pattern + "'"
		}
		return ""
	}
}

func between(least, most int64) specValue {
	return func(value string) string {
		n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		switch {
		case err != nil:
			return "is not a valid integer value"
		case n > most:
			return fmt.Sprintf("is greater than the max value of '%d'", most)
		case n < least:
			return fmt.Sprintf("is less than the min value of '%d'", least)
		}
		return ""
	}
}

var (
	anyNumber = between(math.MinInt64, math.MaxInt64)
	atLeast0  = between(0, math.MaxInt64)
	atLeast1  = between(1, math.MaxInt64)
	cpuMask   = like(`\^?\d+((-\d+)?(,\^?\d+(-\d+)?)?)*`)
)

// specForms are by namespace; the key below it is the name behind the colon.
var specForms = compileForms(map[string]map[string]specValue{
	"accel":                          {`device_profile`: anyText},
	"aggregate_instance_extra_specs": {`.+`: anyText},
	"capabilities": {
		`id|uuid|service_id|host|vcpus|memory_mb|local_gb|vcpus_used|memory_mb_used|local_gb_used|hypervisor_type|hypervisor_version|` +
			`hypervisor_hostname|free_ram_mb|free_disk_gb|current_workload|running_vms|disk_available_least|host_ip|mapped|` +
			`(?:cpu|ram|disk)_allocation_ratio|total_usable_ram_mb|total_usable_disk_gb|disk_mb_used|free_disk_mb|vcpus_total|` +
			`num_instances|num_io_ops|failed_builds|aggregates|cell_uuid|updated`: anyText,
		`(?:cpu_info|metrics|stats|numa_topology|supported_hv_specs|pci_device_pools|nodename|pci_stats|supported_instances|limits|instances)(?::\w+)*`: anyText,
	},
	`trait(?:[a-zA-Z0-9_-]{1,64})?`:     {`CUSTOM_[A-Z0-9_]+`: oneOf("required", "forbidden")},
	`resources(?:[a-zA-Z0-9_-]{1,64})?`: {`CUSTOM_[A-Z0-9_]+`: anyNumber},
	"pci_passthrough":                   {`alias`: like(`[^:]+:\d+(?:\s*,\s*[^:]+:\d+)*`)},
	"os":                                {`secure_boot`: oneOf("disabled", "required")},
	"hw_rng":                            {`allowed`: truth, `rate_bytes|rate_period`: atLeast0},
	"hw_video":                          {`ram_max_mb`: atLeast0},
	"vmware":                            {`hw_version|storage_policy`: anyText},
	"quota": {
		`cpu_quota|(?:cpu|memory|disk_io|vif)_reservation`:                                                 anyNumber,
		`cpu_shares|cpu_period|(?:cpu|memory|disk_io|vif)_(?:limit|shares_share)`:                          atLeast0,
		`disk_(?:read|write|total)_(?:bytes|iops)_sec(?:_max)?|vif_(?:in|out)bound_(?:average|peak|burst)`: atLeast0,
		`(?:cpu|memory|disk_io|vif)_shares_level`:                                                          oneOf("custom", "high", "normal", "low"),
	},
	"hw": {
		`boot_menu|cpu_realtime|ephemeral_encryption|hide_hypervisor_id|locked_memory|mem_encryption|pmu|vif_multiqueue_enabled|virtio_packed_ring`: truth,
		`cpu_(?:max_)?(?:sockets|cores|threads)|numa_nodes|numa_mem\.\d+`:                                                                           atLeast1,
		`serial_port_count|maxphysaddr_bits`: atLeast0,
		`redirected_usb_ports`:               between(0, 15),
		`cpu_policy`:                         oneOf("dedicated", "shared", "mixed"),
		`cpu_thread_policy`:                  oneOf("prefer", "isolate", "require"),
		`cpu_dedicated_mask|cpu_realtime_mask|numa_cpus\.\d+`: cpuMask,
		`emulator_threads_policy`:                             oneOf("isolate", "share"),
		`ephemeral_encryption_format`:                         oneOf("plain", "luks", "luksv2"),
		`input_bus`:                                           oneOf("usb", "virtio"),
		`maxphysaddr_mode`:                                    oneOf("passthrough", "emulate"),
		`mem_encryption_model`:                                oneOf("amd-sev", "amd-sev-es", "amd-sev-snp"),
		`mem_page_size`:                                       like(`(large|small|any|\d+([kKMGT]i?)?(b|bit|B)?)`),
		`pci_numa_affinity_policy`:                            oneOf("required", "preferred", "legacy", "socket"),
		`pmem`:                                                like(`([a-zA-Z0-9_]+(,)?)+`),
		`sound_model`:                                         oneOf("sb16", "es1370", "pcspk", "ac97", "ich6", "ich9", "usb", "virtio"),
		`tpm_model`:                                           oneOf("tpm-tis", "tpm-crb"),
		`tpm_version`:                                         oneOf("1.2", "2.0"),
		`tpm_secret_security`:                                 oneOf("user", "host", "deployment"),
		`usb_model`:                                           oneOf("none", "nec-xhci", "qemu-xhci"),
		`viommu_model`:                                        oneOf("intel", "smmuv3", "virtio", "auto"),
		`watchdog_action`:                                     oneOf("none", "pause", "poweroff", "reset", "disabled"),
	},
})

// plainSpecs are those without a namespace that mean something.
var plainSpecs = map[string]specValue{"group_policy": oneOf("isolate", "none"), "hide_hypervisor_id": truth}

func compileForms(texts map[string]map[string]specValue) map[*regexp.Regexp][]specForm {
	out := map[*regexp.Regexp][]specForm{}
	for namespace, forms := range texts {
		of := whole(namespace)
		for name, value := range forms {
			out[of] = append(out[of], specForm{whole(name), value})
		}
	}
	return out
}

// checkSpecs refuses extra specs that mean nothing.
func (h handlers) checkSpecs(specs map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		form, known := h.specForm(name)
		if !known {
			return errs.BadRequestf("Validation failed; extra spec '%s' does not appear to be a valid extra spec.", name)
		}
		wrong := form(specs[name])
		if wrong != "" {
			return errs.BadRequestf("Validation failed; '%s' %s.", specs[name], wrong)
		}
	}
	return nil
}

// specForm finds what values an extra spec may have.
func (h handlers) specForm(name string) (form specValue, known bool) {
	namespace, rest, scoped := strings.Cut(name, ":")
	if !scoped {
		form, known = plainSpecs[name]
		if !known {
			form = anyText
		}
		return form, true
	}
	for of, forms := range specForms {
		if !of.MatchString(namespace) {
			continue
		}
		i := slices.IndexFunc(forms, func(f specForm) bool { return f.name.MatchString(rest) })
		switch {
		case i >= 0:
			return forms[i].value, true
		case strings.HasPrefix(namespace, "trait") && h.compute.StandardTrait(rest), strings.HasPrefix(namespace, "resources") && h.compute.StandardClass(rest):
			return forms[0].value, true // as a custom one
		}
		return nil, false
	}
	return anyText, true
}
