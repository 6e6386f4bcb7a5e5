package qemu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"nacre/internal/atomicfile"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
	"nacre/internal/virt"
)

// blankName is what a blank disk may be called, since it names a file and a device.
var blankName = regexp.MustCompile(`^(ephemeral[0-9]|swap|nvram)$`)

// formatters make file systems on files: by a program of Debian's packages
// e2fsprogs, xfsprogs or util-linux, which is told the label and the file.
var formatters = map[string]func(label, file string) []string{
	"ext2": func(label, file string) []string { return []string{"mkfs.ext2", "-q", "-F", "-L", label, file} },
	"ext3": func(label, file string) []string { return []string{"mkfs.ext3", "-q", "-F", "-L", label, file} },
	"ext4": func(label, file string) []string {
		return []string{"mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-L", label, file}
	},
	"xfs":  func(label, file string) []string { return []string{"mkfs.xfs", "-q", "-f", "-L", label, file} },
	"swap": func(_, file string) []string { return []string{"mkswap", file} },
}

// findBlank returns the blank disk of that name.
func findBlank(list []virt.Blank, name string) (virt.Blank, bool) {
	i := slices.IndexFunc(list, func(b virt.Blank) bool { return b.Name == name })
	if i < 0 {
		return virt.Blank{}, false
	}
	return list[i], true
}

// stale are the blank disks that are to be made anew.
func (r record) stale() []virt.Blank {
	return slices.DeleteFunc(slices.Clone(r.Blanks), func(has virt.Blank) bool {
		want, wanted := findBlank(r.Machine.Blanks, has.Name)
		return !wanted || want.Rebuilds <= has.Rebuilds
	})
}

// ensureBlanks makes the blank disks of a machine that is off. An ephemeral disk
// grows; a swap disk of another size is made anew, since nobody reads it any more.
// The record comes first where a disk goes, and last where one comes: it never
// promises a disk that is not there.
func (h *Host) ensureBlanks(ctx context.Context, m *machine) error {
	h.mu.Lock()
	rec := m.record
	h.mu.Unlock()
	if rec.Kept != nil {
		return nil // the memory that is kept knows the disks that are there
	}
	for _, has := range rec.Blanks {
		want, wanted := findBlank(rec.Machine.Blanks, has.Name)
		if wanted && (has.Format != "swap" || want.SizeMB == has.SizeMB) && (has.Name != nodeapi.Variables || want.Format == has.Format) {
			continue
		}
		err := h.dropBlank(m, has.Name)
		if err != nil {
			return err
		}
	}
	for _, want := range rec.Machine.Blanks {
		if !blankName.MatchString(want.Name) {
			return errs.BadRequestf("%q is no name of a disk.", want.Name)
		}
		h.mu.Lock()
		has, made := findBlank(m.record.Blanks, want.Name)
		h.mu.Unlock()
		var err error
		switch {
		case !made && want.Arrives:
			_, err = h.fetchDisk(ctx, m, want.Name, func(bytes int64) error { has.SizeMB = int(bytes >> 20); return nil })
		case !made:
			err = h.makeBlank(ctx, m, want)
			has.SizeMB = want.SizeMB
		}
		if err == nil && has.SizeMB < want.SizeMB {
			err = h.imageTool(ctx, m, "resize", "-q", "-f", "qcow2", want.Name+".qcow2", fmt.Sprint(int64(want.SizeMB)<<20))
			has.SizeMB = want.SizeMB
		}
		if err == nil {
			// One that has grown stays so.
			want.SizeMB, want.Arrives = max(want.SizeMB, has.SizeMB), false
			err = h.note(m, func(r *record) { r.Blanks = withBlank(r, want) })
		}
		if err != nil {
			return fmt.Errorf("%s disk: %w", want.Name, err)
		}
	}
	return nil
}

// withBlank is the record's list with the disk, in the order in which they are
// wanted.
func withBlank(r *record, b virt.Blank) []virt.Blank {
	var list []virt.Blank
	for _, want := range r.Machine.Blanks {
		has, made := findBlank(r.Blanks, want.Name)
		switch {
		case want.Name == b.Name:
			list = append(list, b)
		case made:
			list = append(list, has)
		}
	}
	return list
}

// dropBlank throws a disk away.
func (h *Host) dropBlank(m *machine, name string) error {
	err := h.note(m, func(r *record) {
		r.Blanks = slices.DeleteFunc(slices.Clone(r.Blanks), func(b virt.Blank) bool { return b.Name == name })
	})
	if err != nil {
		return err
	}
	err = os.Remove(filepath.Join(m.dir, name+".qcow2"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s disk: %w", name, err)
	}
	return nil
}

// makeBlank makes a disk with a file system, as the guest's user in the user's
// folder, and puts it in place when it is whole.
func (h *Host) makeBlank(ctx context.Context, m *machine, want virt.Blank) error {
	if want.Name == nodeapi.Variables {
		return h.makeVariables(ctx, m, want)
	}
	format := formatters[want.Format]
	if format == nil || want.SizeMB <= 0 {
		return errs.BadRequestf("A disk of %d MB with the format %q cannot be made.", want.SizeMB, want.Format)
	}
	raw, fresh := "run/"+want.Name+".raw", "run/"+want.Name+".new"
	err := m.clear(raw, fresh)
	if err != nil {
		return err
	}
	defer os.Remove(filepath.Join(m.dir, raw))
	err = h.imageTool(ctx, m, "create", "-q", "-f", "raw", raw, fmt.Sprint(int64(want.SizeMB)<<20))
	if err == nil {
		err = h.tool(ctx, m, format(want.Name, raw)...)
	}
	if err == nil {
		err = h.imageTool(ctx, m, "convert", "-f", "raw", "-O", "qcow2", raw, fresh)
	}
	if err != nil {
		return err
	}
	return m.settle(want.Name)
}

// makeVariables makes the disk of a firmware's variables, as they are at first.
func (h *Host) makeVariables(ctx context.Context, m *machine, want virt.Blank) error {
	fresh := "run/" + want.Name + ".new"
	err := m.clear(fresh)
	if err == nil {
		err = h.imageTool(ctx, m, "convert", "-f", "raw", "-O", "qcow2", firmwares[want.Format].variables, fresh)
	}
	if err != nil {
		return err
	}
	return m.settle(want.Name)
}

// clear removes what an earlier attempt has left.
func (m *machine) clear(files ...string) error {
	for _, left := range files {
		err := os.Remove(filepath.Join(m.dir, left))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// settle puts a disk in place that is whole.
func (m *machine) settle(name string) error {
	fresh := filepath.Join(m.dir, "run", name+".new")
	err := atomicfile.Sync(fresh)
	if err == nil {
		err = os.Rename(fresh, filepath.Join(m.dir, name+".qcow2"))
	}
	if err == nil {
		err = atomicfile.Sync(m.dir)
	}
	return err
}
