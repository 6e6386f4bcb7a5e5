package simulated

import "nacre/internal/nodeapi"

// cells are two NUMA cells with half of the host each: cores with two threads, and an
// eighth of the memory in huge pages. A host that does not divide so is one cell.
func cells(cpus, mb int) []nodeapi.Cell {
	if cpus%4 > 0 || mb%16 > 0 {
		whole := nodeapi.Cell{MemoryMB: mb}
		for cpu := range cpus {
			whole.Shared = append(whole.Shared, cpu)
		}
		return []nodeapi.Cell{whole}
	}
	two := make([]nodeapi.Cell, 2)
	for i := range two {
		c := &two[i]
		c.ID, c.MemoryMB = i, mb/2
		c.Pages = []nodeapi.Pages{{SizeKB: 2048, Total: mb / 2 / 8 / 2}}
		// As usual, the second threads come behind all first ones.
		for core := i * cpus / 4; core < (i+1)*cpus/4; core++ {
			c.Shared = append(c.Shared, core)
			c.Cores = append(c.Cores, []int{core, core + cpus/2})
		}
		for core := i * cpus / 4; core < (i+1)*cpus/4; core++ {
			c.Shared = append(c.Shared, core+cpus/2)
		}
	}
	return two
}
