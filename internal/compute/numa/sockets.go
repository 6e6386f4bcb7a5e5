package numa

import (
	"strconv"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// manySockets is where sockets, cores and threads end that nobody limits.
const manySockets = 65536

type shape struct{ sockets, cores, threads int }

func (s shape) exceeds(limit shape) bool {
	over := func(n, limit int) bool { return limit > 0 && n > limit }
	return over(s.sockets, limit.sockets) || over(s.cores, limit.cores) || over(s.threads, limit.threads)
}

// Sockets is how the guest sees its processors: sockets, cores and threads. Nil when
// nobody cares. An image may say less than the flavor allows, never more.
func (g Guest) Sockets() (*nodeapi.Sockets, error) {
	var all [4]shape // limits and wishes, of the flavor and of the image
	said := false
	for i, from := range []struct {
		values map[string]string
		prefix string
	}{{g.Specs, "hw:cpu_max_"}, {g.Image, "hw_cpu_max_"}, {g.Specs, "hw:cpu_"}, {g.Image, "hw_cpu_"}} {
		for key, into := range map[string]*int{"sockets": &all[i].sockets, "cores": &all[i].cores, "threads": &all[i].threads} {
			text, has := from.values[from.prefix+key]
			if !has {
				continue
			}
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 {
				return nil, errs.BadRequestf("Invalid number of virtual CPU %s '%s' in %s%s.", key, text, from.prefix, key)
			}
			*into, said = n, said || n > 0
		}
	}
	if !said {
		return nil, nil
	}
	flavor, image, wish, imageWish := all[0], all[1], all[2], all[3]
	if image.exceeds(flavor) {
		return nil, errs.BadRequestf("Image vCPU topology limits (sockets=%d, cores=%d, threads=%d) exceeds the limits of the flavor (sockets=%d, cores=%d, threads=%d)",
			image.sockets, image.cores, image.threads, flavor.sockets, flavor.cores, flavor.threads)
	}
	limit := shape{or(image.sockets, flavor.sockets), or(image.cores, flavor.cores), or(image.threads, flavor.threads)}
	if imageWish.exceeds(limit) {
		return nil, errs.BadRequestf("Image vCPU topology (sockets=%d, cores=%d, threads=%d) exceeds the limits of the flavor or image (sockets=%d, cores=%d, threads=%d)",
			imageWish.sockets, imageWish.cores, imageWish.threads, limit.sockets, limit.cores, limit.threads)
	}
	switch {
	case imageWish != shape{}:
		wish = imageWish
	case wish.exceeds(limit):
		wish = shape{} // the image allows less than the flavor wishes
	}
	best := shapeOf(g.VCPUs, wish, limit)
	if best == (shape{}) {
		return nil, errs.BadRequestf("Requested vCPU limits %d:%d:%d are impossible to satisfy for vcpus count %d", limit.sockets, limit.cores, limit.threads, g.VCPUs)
	}
	return &nodeapi.Sockets{Sockets: best.sockets, Cores: best.cores, Threads: best.threads}, nil
}

func or(a, b int) int {
	switch {
	case a > 0:
		return a
	case b > 0:
		return b
	}
	return manySockets
}

// shapeOf finds the shape that meets most of the wish: more sockets rather than
// more cores, and more cores rather than threads.
func shapeOf(vcpus int, wish, limit shape) (best shape) {
	most := -1
	for sockets := min(vcpus, limit.sockets); sockets > 0; sockets-- {
		if vcpus%sockets > 0 {
			continue
		}
		each := vcpus / sockets
		for cores := min(each, limit.cores); cores > 0; cores-- {
			s := shape{sockets, cores, each / cores}
			if each%cores > 0 || s.exceeds(limit) {
				continue
			}
			met := 0
			for _, pair := range [][2]int{{s.sockets, wish.sockets}, {s.cores, wish.cores}, {s.threads, wish.threads}} {
				if pair[0] == pair[1] {
					met++
				}
			}
			if met > most {
				best, most = s, met
			}
		}
	}
	return best
}
