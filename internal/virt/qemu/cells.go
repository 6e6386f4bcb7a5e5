package qemu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"nacre/internal/nodeapi"
)

// hostCells reads the NUMA cells of this machine below /sys, as far as this process
// may use their processors. A machine that tells of none is one cell.
func hostCells(sys string) ([]nodeapi.Cell, error) {
	var may unix.CPUSet
	err := unix.SchedGetaffinity(0, &may)
	if err != nil {
		return nil, fmt.Errorf("processors of this process: %w", err)
	}
	folders, err := filepath.Glob(filepath.Join(sys, "devices/system/node/node[0-9]*"))
	if err != nil {
		return nil, err
	}
	var cells []nodeapi.Cell
	for _, folder := range folders {
		c := nodeapi.Cell{}
		c.ID, err = strconv.Atoi(strings.TrimPrefix(filepath.Base(folder), "node"))
		if err != nil {
			continue
		}
		cpus, err := cpuList(filepath.Join(folder, "cpulist"))
		if err != nil {
			return nil, err
		}
		c.Shared = slices.DeleteFunc(cpus, func(cpu int) bool { return !may.IsSet(cpu) })
		c.MemoryMB, err = cellMemory(filepath.Join(folder, "meminfo"))
		if err != nil {
			return nil, err
		}
		c.Pages, err = cellPages(filepath.Join(folder, "hugepages"))
		if err != nil {
			return nil, err
		}
		cells = append(cells, c)
	}
	if len(cells) == 0 {
		mb, err := memoryMB()
		if err != nil {
			return nil, err
		}
		whole := nodeapi.Cell{MemoryMB: mb}
		for cpu := range len(may) * 64 {
			if may.IsSet(cpu) {
				whole.Shared = append(whole.Shared, cpu)
			}
		}
		cells = append(cells, whole)
	}
	for i := range cells {
		cells[i].Cores, err = cores(sys, cells[i].Shared)
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(cells, func(a, b nodeapi.Cell) int { return a.ID - b.ID })
	return cells, nil
}

func cpuList(path string) ([]int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return nodeapi.ParseCPUs(strings.TrimSpace(string(text)))
}

func cellMemory(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) >= 4 && words[2] == "MemTotal:" {
			kb, err := strconv.Atoi(words[3])
			return kb / 1024, err
		}
	}
	return 0, fmt.Errorf("%s does not tell how much memory there is", path)
}

func cellPages(folder string) ([]nodeapi.Pages, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []nodeapi.Pages
	for _, e := range entries {
		size, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(e.Name(), "hugepages-"), "kB"))
		if err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, e.Name(), "nr_hugepages"))
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			return nil, fmt.Errorf("count huge pages: %w", err)
		}
		if n > 0 {
			all = append(all, nodeapi.Pages{SizeKB: size, Total: n})
		}
	}
	return all, nil
}

// cores are the processors that are threads of one core with others.
func cores(sys string, cpus []int) ([][]int, error) {
	var all [][]int
	seen := map[int]bool{}
	for _, cpu := range cpus {
		if seen[cpu] {
			continue
		}
		threads, err := cpuList(filepath.Join(sys, fmt.Sprintf("devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		threads = slices.DeleteFunc(threads, func(t int) bool { return !slices.Contains(cpus, t) })
		for _, t := range threads {
			seen[t] = true
		}
		if len(threads) > 1 {
			all = append(all, threads)
		}
	}
	return all, nil
}
