package saml

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/beevik/etree"
	validator "github.com/mattermost/xml-roundtrip-validator"
)

// Limits of documents, far above what identity providers write.
const (
	maxBytes      = 112 << 10
	maxElements   = 900 // goxmldsig stops at 1000 steps
	maxDepth      = 40
	maxAttributes = 40
)

// xmlName is a name of an element or attribute without its prefix.
var xmlName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,99}$`)

// read reads a document from a stranger. What SAML has no use for is refused, since
// it has served to say one thing to the verifier and another to the reader:
// document types and their entities, processing instructions, comments, CDATA,
// attributes and IDs that are there twice.
func read(text []byte) (*etree.Element, error) {
	switch {
	case len(text) > maxBytes:
		return nil, errors.New("the document is too large")
	case !utf8.Valid(text):
		return nil, errors.New("the document is not UTF-8")
	case bytes.Contains(text, []byte("<![")):
		return nil, errors.New("the document has a section, CDATA or another")
	}
	err := scan(text)
	if err != nil {
		return nil, err
	}
	err = validator.Validate(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("the document reads otherwise when written again: %w", err)
	}
	doc := etree.NewDocument()
	err = doc.ReadFromBytes(text)
	if err != nil {
		return nil, fmt.Errorf("read XML: %w", err)
	}
	root := doc.Root()
	if root == nil {
		return nil, errors.New("the document is empty")
	}
	return root, uniqueIDs(root)
}

// scan looks at the document token by token, before a tree is made of it.
func scan(text []byte) error {
	decoder := xml.NewDecoder(bytes.NewReader(text))
	depth, elements, roots := 0, 0, 0
	for first := true; ; first = false {
		token, err := decoder.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read XML: %w", err)
		}
		switch t := token.(type) {
		case xml.ProcInst:
			if !first || t.Target != "xml" {
				return errors.New("the document has a processing instruction")
			}
		case xml.Directive:
			return errors.New("the document has a document type")
		case xml.Comment:
			return errors.New("the document has a comment")
		case xml.CharData:
			if depth == 0 && len(bytes.TrimSpace(t)) > 0 {
				return errors.New("the document has text outside of its element")
			}
		case xml.StartElement:
			if depth == 0 {
				roots++
			}
			depth++
			elements++
			if depth > maxDepth || elements > maxElements || roots > 1 {
				return errors.New("the document has too many elements")
			}
			err = scanElement(t)
			if err != nil {
				return err
			}
		case xml.EndElement:
			depth--
			if depth < 0 {
				return errors.New("the document ends more elements than it has")
			}
		}
	}
	if depth != 0 {
		return errors.New("the document has elements without an end")
	}
	return nil
}

func scanElement(e xml.StartElement) error {
	if !xmlName.MatchString(e.Name.Local) || e.Name.Space != "" && !xmlName.MatchString(e.Name.Space) {
		return fmt.Errorf("the name %.40q is none of SAML", e.Name.Local)
	}
	if len(e.Attr) > maxAttributes {
		return errors.New("an element has too many attributes")
	}
	seen := map[string]bool{}
	for _, a := range e.Attr {
		if !xmlName.MatchString(a.Name.Local) || a.Name.Space != "" && !xmlName.MatchString(a.Name.Space) {
			return fmt.Errorf("the name %.40q is none of SAML", a.Name.Local)
		}
		name := a.Name.Local
		if a.Name.Space == "xmlns" {
			name = "xmlns:" + name
		}
		if seen[name] {
			return fmt.Errorf("an element has the attribute %.40q twice", name)
		}
		seen[name] = true
	}
	return nil
}

// uniqueIDs refuses a document in which an ID means two elements, by whichever
// attribute.
func uniqueIDs(root *etree.Element) error {
	seen := map[string]bool{}
	for _, el := range all(root) {
		for _, a := range el.Attr {
			if a.Space == "xmlns" || !strings.EqualFold(a.Key, "id") && a.Key != "AssertionID" {
				continue
			}
			if seen[a.Value] {
				return errors.New("the document has an ID twice")
			}
			seen[a.Value] = true
		}
	}
	return nil
}

// all lists an element and those in it, in the order of the document.
func all(el *etree.Element) []*etree.Element {
	out := []*etree.Element{el}
	for _, child := range el.ChildElements() {
		out = append(out, all(child)...)
	}
	return out
}

// is tells whether an element has a name. A name is that of a namespace and a tag,
// whatever the prefix.
func is(el *etree.Element, space, tag string) bool {
	return el.Tag == tag && el.NamespaceURI() == space
}

// children lists the elements of a name that stand in an element.
func children(el *etree.Element, space, tag string) []*etree.Element {
	var out []*etree.Element
	for _, child := range el.ChildElements() {
		if is(child, space, tag) {
			out = append(out, child)
		}
	}
	return out
}

// only finds the one element of a name that stands in an element.
func only(el *etree.Element, space, tag string) (*etree.Element, error) {
	found := children(el, space, tag)
	if len(found) != 1 {
		return nil, fmt.Errorf("%s has %d times %s, want it once", el.Tag, len(found), tag)
	}
	return found[0], nil
}

// attr is an attribute without a prefix.
func attr(el *etree.Element, name string) string {
	for _, a := range el.Attr {
		if a.Space == "" && a.Key == name {
			return a.Value
		}
	}
	return ""
}

// text is what stands in an element in which there is only text.
func text(el *etree.Element) (string, error) {
	var b strings.Builder
	for _, child := range el.Child {
		data, ok := child.(*etree.CharData)
		if !ok {
			return "", fmt.Errorf("%s has more in it than text", el.Tag)
		}
		b.WriteString(data.Data)
	}
	return strings.TrimSpace(b.String()), nil
}
