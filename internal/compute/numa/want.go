package numa

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"nacre/internal/boolean"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// Guest is who asks: a flavor and the properties of an image.
type Guest struct {
	VCPUs, MemoryMB int
	Flavor          string // its name
	Specs           map[string]string
	Image           map[string]string
}

// both are what flavor and image say about one thing.
func (g Guest) both(key string) (flavor, image string) {
	return g.Specs["hw:"+key], g.Image["hw_"+key]
}

// Topology is what the guest asks of NUMA cells, nil when nobody cares. What flavor
// and image must not say, or not both, is a bad request.
func (g Guest) Topology() (*Want, error) {
	w := &Want{}
	err := g.policies(w)
	if err != nil {
		return nil, err
	}
	dedicated, err := g.dedicated(w)
	if err != nil {
		return nil, err
	}
	nodes, err := g.nodes()
	if err != nil {
		return nil, err
	}
	w.Page, err = g.page()
	if err != nil {
		return nil, err
	}
	w.Locked, err = g.locked()
	if err != nil || nodes == 0 && w.Page == 0 && !w.pins() {
		return nil, err
	}
	w.Cells, err = g.cells(max(nodes, 1), dedicated)
	return w, err
}

func (g Guest) policies(w *Want) error {
	flavor, image := g.both("cpu_policy")
	for source, policy := range map[string]string{"flavor extra specs": flavor, "image properties": image} {
		if policy != "" && !slices.Contains([]Policy{Dedicated, Shared, Mixed}, Policy(policy)) {
			return errs.BadRequestf("CPU policy requested from '%s' is invalid, given: '%s', available: '%s, %s, %s'.", source, policy, Dedicated, Shared, Mixed)
		}
	}
	forbidden := Policy(flavor) == Mixed && Policy(image) == Dedicated || Policy(flavor) == Shared && (Policy(image) == Dedicated || Policy(image) == Mixed)
	if forbidden {
		return errs.BadRequestf("Image property 'hw_cpu_policy' is not permitted to override CPU pinning policy set against the flavor")
	}
	w.Policy = Policy(flavor)
	if flavor == "" {
		w.Policy = Policy(image)
	}
	flavor, image = g.both("cpu_thread_policy")
	for source, policy := range map[string]string{"flavor extra specs": flavor, "image properties": image} {
		if policy != "" && !slices.Contains([]Threads{Prefer, Isolate, Require}, Threads(policy)) {
			return errs.BadRequestf("CPU thread policy requested from '%s' is invalid, given: '%s', available: '%s, %s, %s'.", source, policy, Prefer, Isolate, Require)
		}
	}
	w.Threads = Threads(flavor)
	switch {
	case image == "" || image == flavor:
	case flavor == "" || Threads(flavor) == Prefer:
		if flavor == "" {
			w.Threads = Threads(image)
		}
	default:
		return errs.BadRequestf("Image property 'hw_cpu_thread_policy' is not permitted to override CPU thread pinning policy set against the flavor")
	}
	emulator := g.Specs["hw:emulator_threads_policy"]
	switch emulator {
	case "":
	case "isolate":
		w.Isolate = true
	case "share":
		w.Share = true
	default:
		return errs.BadRequestf("CPU emulator threads option requested is invalid, given: '%s', available: 'isolate, share'.", emulator)
	}
	return g.explicit(w)
}

var (
	explicitCPUs = regexp.MustCompile(`^resources([1-9][0-9]*)?:([VP]CPU)$`)
	threadsTrait = regexp.MustCompile(`^trait([1-9][0-9]*)?:HW_CPU_HYPERTHREADING$`)
)

// explicit hears flavors that ask for processors and threads in placement's words.
func (g Guest) explicit(w *Want) error {
	asked := map[string]int{}
	trait := ""
	for key, value := range g.Specs {
		if m := explicitCPUs.FindStringSubmatch(key); m != nil {
			n, err := strconv.Atoi(value)
			if err == nil {
				asked[m[2]] += n
			}
		}
		if threadsTrait.MatchString(key) {
			trait = value
		}
	}
	if trait == "" {
		trait = g.Image["trait:HW_CPU_HYPERTHREADING"]
	}
	need := g.VCPUs
	if w.Isolate {
		need++
	}
	switch {
	case w.Policy != "" && len(asked) > 0:
		return errs.BadRequestf("It is not possible to use the 'resources:VCPU' or 'resources:PCPU' extra specs in combination with the " +
			"'hw:cpu_policy' extra spec or 'hw_cpu_policy' image metadata property; use one or the other")
	case asked["VCPU"] > 0 && asked["PCPU"] > 0:
		return errs.BadRequestf("It is not possible to specify both 'resources:VCPU' and 'resources:PCPU' extra specs; use one or the other")
	case asked["PCPU"] > 0 && asked["PCPU"] != need:
		return errs.BadRequestf("The flavor asks for %d PCPUs by 'resources:PCPU' and needs exactly %d.", asked["PCPU"], need)
	case asked["PCPU"] > 0:
		w.Policy = Dedicated
	case asked["VCPU"] > 0:
		w.Policy = Shared
	}
	if trait != "" && w.Threads != "" {
		return errs.BadRequestf("It is not possible to use the 'trait:HW_CPU_HYPERTHREADING' extra spec in combination with the " +
			"'hw:cpu_thread_policy' extra spec or 'hw_cpu_thread_policy' image metadata property; use one or the other")
	}
	switch trait {
	case "required":
		w.Threads = Require
	case "forbidden":
		w.Threads = Isolate
	}
	return nil
}

// dedicated is which processors of the guest have one of the host's alone.
func (g Guest) dedicated(w *Want) (map[int]bool, error) {
	mask, err := g.mask("hw:cpu_dedicated_mask", g.Specs["hw:cpu_dedicated_mask"])
	if err != nil {
		return nil, err
	}
	if mask != nil && (len(mask) == 0 || len(mask) == g.VCPUs) {
		return nil, errs.BadRequestf("Mixed instance must have at least 1 pinned vCPU and 1 unpinned vCPU. See 'hw:cpu_dedicated_mask'.")
	}
	if boolean.Is(g.Specs["hw:cpu_realtime"]) {
		text, image := g.both("cpu_realtime_mask")
		if image != "" {
			text = image
		}
		w.Realtime, err = g.mask("hw:cpu_realtime_mask", text)
		if err != nil {
			return nil, err
		}
		if text == "" {
			w.Realtime = numbers(g.VCPUs)
		}
		if len(w.Realtime) == 0 || len(w.Realtime) == g.VCPUs && !w.Isolate && !w.Share {
			return nil, errs.BadRequestf("Use of realtime CPUs requires either one or more non-realtime CPU(s) or offloaded emulator threads.")
		}
	}
	switch {
	case !w.pins() && w.Threads != "":
		return nil, errs.BadRequestf("Cannot set cpu thread pinning policy in a non dedicated cpu pinning policy")
	case !w.pins() && w.Isolate:
		return nil, errs.BadRequestf("An isolated CPU emulator threads option requires a dedicated CPU policy option.")
	case w.Policy != Mixed && mask != nil:
		return nil, errs.BadRequestf("Cannot specify 'hw:cpu_dedicated_mask' without the 'mixed' policy.")
	case !w.pins() && w.Realtime != nil:
		return nil, errs.BadRequestf("Cannot set realtime policy in a non dedicated cpu pinning policy")
	case w.Policy == Mixed && (mask != nil) == (w.Realtime != nil):
		return nil, errs.BadRequestf("Dedicated CPU set can be specified from either 'hw:cpu_dedicated_mask' or 'hw:cpu_realtime_mask' when using 'mixed' CPU policy. " +
			"'hw:cpu_dedicated_mask' and 'hw:cpu_realtime_mask' can not be specified at the same time, or be specified with none of them.")
	case w.Policy == Mixed && mask == nil:
		mask = w.Realtime
	case w.Policy == Dedicated:
		mask = numbers(g.VCPUs)
	}
	return set(mask), nil
}

// mask reads a set of processors of the guest, nil for none. One that begins with ^
// is all the others.
func (g Guest) mask(name, text string) ([]int, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	if strings.HasPrefix(strings.TrimSpace(text), "^") {
		text = fmt.Sprintf("0-%d,%s", g.VCPUs-1, text)
	}
	cpus, err := nodeapi.ParseCPUs(text)
	if err != nil {
		return nil, errs.BadRequestf("Invalid mask of CPUs '%s' in %s.", text, name).Because(err)
	}
	if len(cpus) > 0 && cpus[len(cpus)-1] >= g.VCPUs {
		return nil, errs.BadRequestf("The mask of CPUs '%s' is not a subset of the flavor's %d vCPUs. See \"%s\".", text, g.VCPUs, name)
	}
	return append([]int{}, cpus...), nil
}

func (g Guest) nodes() (int, error) {
	flavor, image := g.both("numa_nodes")
	if flavor != "" && image != "" {
		return 0, forbidden("hw_numa_nodes")
	}
	text := flavor + image
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, errs.BadRequestf("The property 'numa_nodes' cannot be '%s'. It must be a number greater than 0", text)
	}
	return n, nil
}

func forbidden(name string) error {
	return errs.BadRequestf("Image property '%s' is not permitted to override NUMA configuration set against the flavor", name)
}

func (g Guest) page() (int, error) {
	flavor, image := g.both("mem_page_size")
	switch {
	case flavor == "" && image != "":
		return 0, errs.BadRequestf("Page size %s forbidden against '<empty>'", image)
	case flavor == "":
		return 0, nil
	}
	size, err := pageSize(flavor)
	switch {
	case err != nil || image == "":
		return size, err
	case size == AnyPage || size == Large:
		return pageSize(image)
	}
	return 0, errs.BadRequestf("Page size %s forbidden against '%s'", image, flavor)
}

var sizes = regexp.MustCompile(`^(\d+)([kKMGT]?)(i?)(b|bit|B)?$`)

// pageSize reads a size of pages: KiB, or what its unit says. 2MB are 2 MiB here, as
// OpenStack reads it.
func pageSize(text string) (int, error) {
	switch text {
	case "small":
		return Small, nil
	case "large":
		return Large, nil
	case "any":
		return AnyPage, nil
	}
	invalid := errs.BadRequestf("Invalid memory page size '%s'", text)
	m := sizes.FindStringSubmatch(text)
	if m == nil {
		return 0, invalid
	}
	n, err := strconv.ParseInt(m[1], 10, 32)
	if err != nil || n == 0 {
		return 0, invalid
	}
	if m[2]+m[3]+m[4] == "" {
		return int(n), nil
	}
	for range strings.Index(" KMGT", strings.ToUpper(m[2] + " ")[:1]) {
		n *= 1024
	}
	if m[4] == "b" || m[4] == "bit" {
		n /= 8
	}
	if n < 1024 || n > 1<<40 {
		return 0, invalid
	}
	return int(n / 1024), nil
}

func (g Guest) locked() (bool, error) {
	flavor, image := g.both("locked_memory")
	if flavor != "" && image != "" && boolean.Is(flavor) != boolean.Is(image) {
		return false, errs.BadRequestf("Locked memory of the flavor (%t) conflicts with that of the image (%t).", boolean.Is(flavor), boolean.Is(image))
	}
	locked := boolean.Is(flavor) || boolean.Is(image)
	sizeFlavor, sizeImage := g.both("mem_page_size")
	if locked && sizeFlavor+sizeImage == "" {
		return false, errs.BadRequestf("locked_memory value in image or flavor is forbidden when mem_page_size is not set.")
	}
	return locked, nil
}

// cells divides the guest among its cells: evenly, or as flavor or image say.
func (g Guest) cells(n int, dedicated map[int]bool) ([]Cell, error) {
	cpus, err := g.list("numa_cpus")
	if err != nil {
		return nil, err
	}
	memory, err := g.list("numa_mem")
	switch {
	case err != nil:
		return nil, err
	case (cpus == nil) != (memory == nil) || cpus != nil && (len(cpus) != n || len(memory) != n):
		return nil, errs.BadRequestf("CPU and memory allocation must be provided for all NUMA nodes")
	case cpus == nil && (g.VCPUs%n > 0 || g.MemoryMB%n > 0):
		return nil, errs.BadRequestf("Instance CPUs and/or memory cannot be evenly distributed across instance NUMA nodes. " +
			"Explicit assignment of CPUs and memory to nodes is required")
	}
	cells := make([]Cell, n)
	left, total := set(numbers(g.VCPUs)), 0
	for i := range cells {
		cell := &cells[i]
		var members []int
		if cpus == nil {
			cell.MemoryMB = g.MemoryMB / n
			for cpu := i * g.VCPUs / n; cpu < (i+1)*g.VCPUs/n; cpu++ {
				members = append(members, cpu)
			}
		} else {
			cell.MemoryMB, err = strconv.Atoi(memory[i])
			if err != nil || cell.MemoryMB < 1 {
				return nil, errs.BadRequestf("The memory '%s' of NUMA node %d is no number greater than 0.", memory[i], i)
			}
			members, err = nodeapi.ParseCPUs(cpus[i])
			if err != nil {
				return nil, errs.BadRequestf("Invalid set of CPUs '%s' of NUMA node %d.", cpus[i], i).Because(err)
			}
		}
		total += cell.MemoryMB
		for _, cpu := range members {
			switch {
			case cpu >= g.VCPUs:
				return nil, errs.BadRequestf("CPU number %d is larger than max %d", cpu, g.VCPUs-1)
			case !left[cpu]:
				return nil, errs.BadRequestf("CPU number %d is assigned to two nodes", cpu)
			}
			delete(left, cpu)
			if dedicated[cpu] {
				cell.Dedicated = append(cell.Dedicated, cpu)
			} else {
				cell.Shared = append(cell.Shared, cpu)
			}
		}
	}
	for _, cpu := range numbers(g.VCPUs) {
		if left[cpu] {
			return nil, errs.BadRequestf("CPU number %d is not assigned to any node", cpu)
		}
	}
	if total != g.MemoryMB {
		return nil, errs.BadRequestf("%d MB of memory assigned, but expected %d MB", total, g.MemoryMB)
	}
	return cells, nil
}

// list reads what is said about each cell, by the flavor or by the image.
func (g Guest) list(key string) ([]string, error) {
	read := func(from map[string]string, prefix string) []string {
		var list []string
		for {
			value, has := from[fmt.Sprintf("%s.%d", prefix, len(list))]
			if !has {
				return list
			}
			list = append(list, value)
		}
	}
	flavor, image := read(g.Specs, "hw:"+key), read(g.Image, "hw_"+key)
	if flavor != nil && image != nil {
		return nil, forbidden("hw_" + key)
	}
	return append(flavor, image...), nil
}

func numbers(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

func set(list []int) map[int]bool {
	out := make(map[int]bool, len(list))
	for _, n := range list {
		out[n] = true
	}
	return out
}
