package qemu

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"nacre/internal/virt"
)

var versionText = regexp.MustCompile(`version (\d+)\.(\d+)\.(\d+)`)

// emulatorVersion asks QEMU for its version, which also tells whether it is
// installed.
func emulatorVersion(ctx context.Context) (int, error) {
	out, err := exec.CommandContext(ctx, emulator, "--version").Output()
	if err != nil {
		return 0, fmt.Errorf("run %s (Debian package qemu-system-x86): %w", emulator, err)
	}
	found := versionText.FindSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("%s has an unknown version: %.80q", emulator, out)
	}
	version := 0
	for _, part := range found[1:] {
		n, err := strconv.Atoi(string(part))
		if err != nil {
			return 0, fmt.Errorf("%s has an unknown version: %.80q", emulator, out)
		}
		version = version*1000 + n
	}
	return version, nil
}

// traitsOf maps processor flags to the standard names of traits.
var traitsOf = map[string]string{
	"sse": "HW_CPU_X86_SSE", "sse2": "HW_CPU_X86_SSE2", "ssse3": "HW_CPU_X86_SSSE3",
	"sse4_1": "HW_CPU_X86_SSE41", "sse4_2": "HW_CPU_X86_SSE42",
	"avx": "HW_CPU_X86_AVX", "avx2": "HW_CPU_X86_AVX2", "avx512f": "HW_CPU_X86_AVX512F",
	"avx512dq": "HW_CPU_X86_AVX512DQ", "avx512bw": "HW_CPU_X86_AVX512BW", "avx512vl": "HW_CPU_X86_AVX512VL",
	"aes": "HW_CPU_X86_AESNI", "fma": "HW_CPU_X86_FMA3", "f16c": "HW_CPU_X86_F16C",
	"bmi1": "HW_CPU_X86_BMI", "bmi2": "HW_CPU_X86_BMI2", "sha_ni": "HW_CPU_X86_SHA",
	"pclmulqdq": "HW_CPU_X86_CLMUL", "mmx": "HW_CPU_X86_MMX", "vmx": "HW_CPU_X86_VMX", "svm": "HW_CPU_X86_SVM",
}

// Capacity implements virt.Host.
func (h *Host) Capacity(ctx context.Context) (virt.Capacity, error) {
	memory, err := memoryMB()
	if err != nil {
		return virt.Capacity{}, err
	}
	var fs unix.Statfs_t
	err = unix.Statfs(h.options.Dir, &fs)
	if err != nil {
		return virt.Capacity{}, fmt.Errorf("size of guest folder: %w", err)
	}
	cells, err := hostCells("/sys")
	if err != nil {
		return virt.Capacity{}, fmt.Errorf("NUMA cells: %w", err)
	}
	vendor, model, flags, err := processor()
	if err != nil {
		return virt.Capacity{}, err
	}
	c := virt.Capacity{
		VCPUs:    runtime.NumCPU(),
		MemoryMB: memory,
		DiskGB:   int(fs.Blocks * uint64(fs.Bsize) >> 30),
		Type:     "QEMU",
		Version:  h.version,
		Cells:    cells,
		Emulated: h.accel == emulation,
	}
	for _, f := range flags {
		if trait := traitsOf[f]; trait != "" {
			c.Traits = append(c.Traits, trait)
		}
	}
	c.Traits = append(c.Traits, hardwareTraits()...)
	slices.Sort(c.Traits)
	info, err := json.Marshal(map[string]any{
		"arch": "x86_64", "vendor": vendor, "model": model, "features": flags,
		"topology": map[string]int{"sockets": 1, "cores": runtime.NumCPU(), "threads": 1},
	})
	if err != nil {
		return virt.Capacity{}, fmt.Errorf("describe processor: %w", err)
	}
	c.CPUInfo = string(info)
	return c, nil
}

func memoryMB() (int, error) {
	var info unix.Sysinfo_t
	err := unix.Sysinfo(&info)
	if err != nil {
		return 0, fmt.Errorf("size of memory: %w", err)
	}
	return int(uint64(info.Totalram) * uint64(info.Unit) >> 20), nil
}

// processor reads the first one's description.
func processor() (vendor, model string, flags []string, err error) {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "", "", nil, fmt.Errorf("describe processor: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() && lines.Text() != "" {
		key, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "vendor_id":
			vendor = value
		case "model name":
			model = value
		case "flags":
			flags = strings.Fields(value)
		}
	}
	return vendor, model, flags, nil
}
