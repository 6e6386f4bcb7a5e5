package api_test

import (
	"fmt"
	"strings"
	"testing"
)

// Extra specs are checked since 2.86: names in namespaces that mean something, and
// their values.
func TestExtraSpecs(t *testing.T) {
	c := start(t, options{hosts: 1})
	c.flavor("10", 0, 0)
	for _, test := range []struct {
		name, value string
		status      int
	}{
		{"hw:boot_menu", "true", 200}, {"hw:boot_menu", "perhaps", 400}, {"hw:boot_menus", "true", 400},
		{"hw:cpu_policy", "dedicated", 200}, {"hw:cpu_policy", "sharded", 400},
		{"hw:numa_nodes", "2", 200}, {"hw:numa_nodes", "two", 400}, {"hw:numa_cpus.1", "0-3,^2", 200}, {"hw:numa_mem.0", "512", 200}, {"hw:numa_mem.x", "512", 400},
		{"hw:mem_page_size", "2MB", 200}, {"hw:mem_page_size", "huge", 400},
		{"hw:watchdog_action", "reset", 200}, {"hw:watchdog_action", "shout", 400},
		{"hw_rng:allowed", "False", 200}, {"hw_rng:rate_bytes", "many", 400}, {"hw_video:ram_max_mb", "64", 200},
		{"os:secure_boot", "required", 200}, {"os:secure_boot", "maybe", 400}, {"os:nothing", "1", 400},
		{"quota:disk_read_iops_sec", "100", 200}, {"quota:cpu_quota", "-1", 200}, {"quota:disk_speed", "1", 400},
		{"trait:HW_CPU_X86_AVX", "required", 200}, {"trait:CUSTOM_FAST", "forbidden", 200}, {"trait:HW_CPU_X86_AVX", "wanted", 400},
		{"trait1:CUSTOM_FAST", "required", 200}, {"resources:VCPU", "2", 200}, {"resources:VCPU", "two", 400}, {"resources_A:CUSTOM_GPU", "1", 200},
		{"group_policy", "isolate", 200}, {"group_policy", "apart", 400},
		{"capabilities:cpu_info:arch", "x86_64", 200}, {"capabilities:vcpus", ">= 2", 200}, {"capabilities:nope", "x", 400},
		{"aggregate_instance_extra_specs:ssd", "true", 200},
		{"accel:device_profile", "fast", 200}, {"accel:profile", "fast", 400}, {"pci_passthrough:alias", "gpu:1", 200}, {"pci_passthrough:alias", "gpu", 400},
		{"pci_passthrough:alias", "a,b:1", 200}, {"pci_passthrough:alias", "a:1, b:2", 200},
		{"hw:mem_encryption_model", "amd-sev-snp", 200}, {"hw:usb_model", "qemu-xhci", 200}, {"hw:redirected_usb_ports", "15", 200}, {"hw:redirected_usb_ports", "16", 400},
		{"hw:ephemeral_encryption_format", "plain", 200}, {"hw:mem_page_size", "2048b", 200}, {"hw:mem_page_size", "1Gbit", 200},
		{"hw:numa_nodes", "0", 400}, {"hw:cpu_threads", "0", 400}, {"hw:cpu_max_sockets", "0", 400}, {"hw:numa_mem.0", "0", 400}, {"quota:cpu_period", "-5", 400},
		{"os:secure_boot", "optional", 400}, {"hide_hypervisor_id", "maybe", 400}, {"hide_hypervisor_id", "yes", 200},
		{"trait:HW_NOPE", "required", 400}, {"resources:NOPE", "1", 400}, {"vmware:nope", "x", 400}, {"vmware:hw_version", "x", 200},
		{"mine", "anything", 200}, {"our:own", "anything", 200},
	} {
		path := "/flavors/10/os-extra_specs"
		r := c.as("admin@2.86", "POST", path, fmt.Sprintf(`{"extra_specs":{%q:%q}}`, test.name, test.value))
		if r.status != test.status {
			t.Errorf("POST %s=%s: got %d %s, want %d", test.name, test.value, r.status, r.body, test.status)
		}
		r = c.as("admin@2.86", "PUT", path+"/"+test.name, fmt.Sprintf(`{%q:%q}`, test.name, test.value))
		if r.status != test.status {
			t.Errorf("PUT %s=%s: got %d %s, want %d", test.name, test.value, r.status, r.body, test.status)
		}
		if test.status == 400 && !strings.Contains(string(r.body), "Validation failed; ") {
			t.Errorf("%s=%s: got %s", test.name, test.value, r.body)
		}
		r = c.as("admin@2.85", "POST", path, fmt.Sprintf(`{"extra_specs":{%q:%q}}`, test.name, test.value))
		if r.status != 200 {
			t.Errorf("before 2.86 %s=%s: got %d %s, want 200", test.name, test.value, r.status, r.body)
		}
	}
	for body, says := range map[string]string{
		`{"extra_specs":{"hw:cpu_policy":"x"}}`:         "Validation failed; 'x' is not one of: dedicated, shared, mixed.",
		`{"extra_specs":{"hw:numa_nodes":"0"}}`:         "Validation failed; '0' is less than the min value of '1'.",
		`{"extra_specs":{"hw:numa_nodes":"x"}}`:         "Validation failed; 'x' is not a valid integer value.",
		`{"extra_specs":{"hw:boot_menu":"x"}}`:          "Validation failed; 'x' is not a valid boolean-like value.",
		`{"extra_specs":{"pci_passthrough:alias":"x"}}`: "Validation failed; 'x' is not of the format '",
	} {
		r := c.as("admin@2.86", "POST", "/flavors/10/os-extra_specs", body)
		if r.status != 400 || !strings.Contains(string(r.body), says) {
			t.Errorf("%s: got %d %s, want 400 with %q", body, r.status, r.body, says)
		}
	}
}
