package api

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"nacre/internal/errs"
)

// Since 2.86 extra specs are checked when they are written: a name in one of the
// namespaces below has to be among these, with a value of its form. Names of other
// namespaces, and names without one, are the operator's own.

// specForm is the name and the values of an extra spec.
type specForm struct{ name, value *regexp.Regexp }

const (
	truthForm  = `(?i:true|false|yes|no|on|off|1|0|t|f|y|n)`
	numberForm = `[0-9]+`
	anyForm    = `.*`
)

// specForms are by namespace; the key below it is the name behind the colon.
var specForms = compileForms(map[string]map[string]string{
	"accel":                          {`device_profile`: `.+`},
	"aggregate_instance_extra_specs": {`.+`: anyForm},
	"capabilities":                   {`.+`: anyForm},
	`trait[a-zA-Z0-9_-]*`:            {`(?:[A-Z][A-Z0-9_]*)`: `required|forbidden`},
	`resources[a-zA-Z0-9_-]*`:        {`(?:[A-Z][A-Z0-9_]*)`: numberForm},
	"pci_passthrough":                {`alias`: `[^:,]+:[0-9]+(,[^:,]+:[0-9]+)*`},
	"os":                             {`secure_boot`: `disabled|optional|required`},
	"hw_rng":                         {`allowed`: truthForm, `rate_bytes|rate_period`: numberForm},
	"hw_video":                       {`ram_max_mb`: numberForm},
	"quota": {
		`cpu_shares|cpu_period|cpu_quota`:                               `-?[0-9]+`,
		`(?:cpu|memory|disk_io|vif)_(?:limit|reservation|shares_share)`: numberForm,
		`(?:cpu|memory|disk_io|vif)_shares_level`:                       `custom|high|normal|low`,
		`disk_(?:read|write|total)_(?:bytes|iops)_sec(?:_max)?`:         numberForm,
		`vif_(?:inbound|outbound)_(?:average|peak|burst)`:               numberForm,
	},
	"hw": {
		`boot_menu|cpu_realtime|ephemeral_encryption|hide_hypervisor_id|locked_memory|mem_encryption|pmu|vif_multiqueue_enabled|virtio_packed_ring`: truthForm,
		`cpu_(?:max_)?(?:sockets|cores|threads)|numa_nodes|serial_port_count|maxphysaddr_bits`:                                                      numberForm,
		`cpu_policy`:                           `dedicated|shared|mixed`,
		`cpu_thread_policy`:                    `prefer|isolate|require`,
		`cpu_dedicated_mask|cpu_realtime_mask`: `\^?[0-9]+(-[0-9]+)?(,\^?[0-9]+(-[0-9]+)?)*`,
		`emulator_threads_policy`:              `isolate|share`,
		`ephemeral_encryption_format`:          `luks`,
		`input_bus`:                            `usb|virtio`,
		`maxphysaddr_mode`:                     `passthrough|emulate`,
		`mem_page_size`:                        `large|small|any|[0-9]+([kKMGT]i?[bB]?)?`,
		`numa_cpus\.[0-9]+`:                    `\^?[0-9]+(-[0-9]+)?(,\^?[0-9]+(-[0-9]+)?)*`,
		`numa_mem\.[0-9]+`:                     numberForm,
		`pci_numa_affinity_policy`:             `required|preferred|legacy|socket`,
		`pmem`:                                 `.+`,
		`sound_model`:                          `sb16|es1370|pcspk|ac97|ich6|ich9|usb|virtio`,
		`tpm_model`:                            `tpm-tis|tpm-crb`,
		`tpm_version`:                          `1\.2|2\.0`,
		`tpm_secret_security`:                  `user|host|deployment`,
		`viommu_model`:                         `intel|smmuv3|virtio|auto`,
		`watchdog_action`:                      `none|pause|poweroff|reset|disabled`,
	},
})

func compileForms(texts map[string]map[string]string) map[*regexp.Regexp][]specForm {
	whole := func(text string) *regexp.Regexp { return regexp.MustCompile(`^(?:` + text + `)$`) }
	out := map[*regexp.Regexp][]specForm{}
	for namespace, forms := range texts {
		of := whole(namespace)
		for name, value := range forms {
			out[of] = append(out[of], specForm{whole(name), whole(value)})
		}
	}
	return out
}

// checkSpecs refuses extra specs that mean nothing.
func checkSpecs(specs map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		err := checkSpec(name, specs[name])
		if err != nil {
			return err
		}
	}
	return nil
}

func checkSpec(name, value string) error {
	namespace, rest, scoped := strings.Cut(name, ":")
	if !scoped {
		if name == "group_policy" && value != "none" && value != "isolate" {
			return badSpec(name, value)
		}
		return nil
	}
	for of, forms := range specForms {
		if !of.MatchString(namespace) {
			continue
		}
		i := slices.IndexFunc(forms, func(f specForm) bool { return f.name.MatchString(rest) })
		switch {
		case i < 0:
			return errs.BadRequestf("Validation failed; extra spec '%s' does not appear to be a valid extra spec.", name)
		case !forms[i].value.MatchString(value):
			return badSpec(name, value)
		}
		return nil
	}
	return nil
}

func badSpec(name, value string) error {
	return errs.BadRequestf("Validation failed; '%s' is not a valid value of extra spec '%s'.", value, name)
}
