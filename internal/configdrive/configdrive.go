// Package configdrive builds config drives: small read-only disks from which a
// guest learns who it is when there is no network to ask.
//
// A config drive is an ISO 9660 image labelled config-2. The plain format knows
// only names like F0000001, so the real ones are told twice: by Rock Ridge, which
// Linux and the BSDs read, and by Joliet, a second tree over the same files, which
// Windows reads. The same files always give the same bytes: there are no dates
// in it, so that a drive can be built again instead of being kept.
package configdrive

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
)

// Label is the volume label by which guests find the drive.
const Label = "config-2"

// maxName is Joliet's limit for one name, in characters.
const maxName = 64

// names are those that every reader of the formats can take.
var names = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// Build makes the image from files by their paths, such as
// "openstack/latest/meta_data.json".
func Build(files map[string][]byte) ([]byte, error) {
	root := &node{parent: nil}
	root.parent = root
	for _, path := range slices.Sorted(maps.Keys(files)) {
		err := root.add(strings.Split(path, "/"), files[path])
		if err != nil {
			return nil, fmt.Errorf("put %q on the config drive: %w", path, err)
		}
	}
	return layOut(root), nil
}

// node is a file or a folder.
type node struct {
	name     string
	parent   *node // the root is its own
	children []*node
	file     bool
	data     []byte
	short    string // its name in the plain format

	sector uint32    // where the file's bytes start
	trees  [2]extent // where the folder's records are, in each tree
	number uint16    // of a folder, in the path tables
}

// extent is a folder's place in one tree.
type extent struct{ sector, bytes uint32 }

// add puts a file below the folder. Paths come sorted, so that a folder's
// children are, too.
func (n *node) add(path []string, data []byte) error {
	name := path[0]
	if !names.MatchString(name) || name == "." || name == ".." {
		return fmt.Errorf("a name has 1 to %d letters, digits, dots, dashes and underscores", maxName)
	}
	i := slices.IndexFunc(n.children, func(c *node) bool { return c.name == name })
	var child *node
	if i >= 0 {
		child = n.children[i]
	} else {
		child = &node{name: name, parent: n}
		n.children = append(n.children, child)
	}
	if len(path) > 1 {
		if child.file {
			return errors.New("a file cannot be a folder as well")
		}
		return child.add(path[1:], data)
	}
	if i >= 0 {
		return errors.New("a folder cannot be a file as well")
	}
	child.file, child.data = true, data
	return nil
}

// walk lists the folders in the order of the path tables, parents first, and all
// files.
func walk(root *node) (folders, files []*node) {
	folders = []*node{root}
	for i := 0; i < len(folders); i++ {
		folder := folders[i]
		folder.number = uint16(i + 1)
		slices.SortFunc(folder.children, func(a, b *node) int { return strings.Compare(a.name, b.name) })
		for _, c := range folder.children {
			if c.file {
				files = append(files, c)
				c.short = fmt.Sprintf("F%07d.;1", len(files))
			} else {
				folders = append(folders, c)
				c.short = fmt.Sprintf("D%07d", len(folders))
			}
		}
	}
	return folders, files
}

// tree is one of the two ways to name the same files.
type tree int

const (
	plain  tree = iota // with Rock Ridge beside it
	joliet             // in UTF-16
)

// identifier is a node's name in the tree.
func (t tree) identifier(n *node) []byte {
	if t == plain {
		return []byte(n.short)
	}
	if n.file {
		return wide(n.name + ";1")
	}
	return wide(n.name)
}

// order lists a folder's children as the tree sorts them.
func (t tree) order(n *node) []*node {
	if t == joliet {
		return n.children
	}
	return slices.SortedFunc(slices.Values(n.children), func(a, b *node) int { return strings.Compare(a.short, b.short) })
}

// wide is UTF-16, big-endian.
func wide(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u>>8), byte(u))
	}
	return b
}
