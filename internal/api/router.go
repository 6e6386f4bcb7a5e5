package api

import (
	"fmt"
	"net/url"
	"strings"
)

// node is one segment of the route tree. Literal segments win over parameters;
// when the literal branch leads nowhere, the parameter branch is tried. A last
// parameter written {name...} takes the rest of the path, slashes included, as
// object stores need it.
type node struct {
	literal map[string]*node
	param   *node
	rest    []*endpoint
	ends    []*endpoint
}

// endpoint is a route as it was mounted.
type endpoint struct {
	service *Service
	route   *Route
	scoped  bool     // mounted behind /{project_id}
	names   []string // of the parameters, in order
}

func (n *node) add(path string, e *endpoint) {
	for _, segment := range segments(path) {
		name, isParam := strings.CutPrefix(segment, "{")
		if !isParam {
			if n.literal == nil {
				n.literal = map[string]*node{}
			}
			if n.literal[segment] == nil {
				n.literal[segment] = &node{}
			}
			n = n.literal[segment]
			continue
		}
		name = strings.TrimSuffix(name, "}")
		rest, isRest := strings.CutSuffix(name, "...")
		e.names = append(e.names, rest)
		if isRest {
			n.rest = alone(n.rest, e, path)
			return
		}
		if n.param == nil {
			n.param = &node{}
		}
		n = n.param
	}
	n.ends = alone(n.ends, e, path)
}

// alone adds a row. One that would answer the same requests as another is a
// mistake of ours: which of them did would be a matter of luck.
func alone(rows []*endpoint, e *endpoint, path string) []*endpoint {
	for _, other := range rows {
		a, b := other.route, e.route
		apart := (a.Until != 0 && b.Since > a.Until) || (b.Until != 0 && a.Since > b.Until)
		if a.Method == b.Method && a.Action == b.Action && a.Variant == b.Variant && !apart {
			panic(fmt.Sprintf("two routes are %s %s %s", b.Method, path, b.Action))
		}
	}
	return append(rows, e)
}

// segments splits a path at its slashes: "/a/b" is a, b; "/a/" is a, "".
func segments(path string) []string {
	return strings.Split(strings.TrimPrefix(path, "/"), "/")
}

// find returns the rows at an escaped path and the values of its parameters,
// unescaped. None is nil.
func (n *node) find(path string) (found []*endpoint, params map[string]string) {
	var raw []string
	found = n.walk(segments(path), &raw)
	if found == nil {
		return nil, nil
	}
	params = make(map[string]string, len(raw))
	for _, e := range found {
		for i, name := range e.names {
			value, err := url.PathUnescape(raw[i])
			if err != nil {
				return nil, nil
			}
			params[name] = value
		}
	}
	return found, params
}

// Routes are the rows that a method of an escaped path may mean: several where
// actions, microversions or the query tell them apart.
func (k *Kernel) Routes(method, path string) []Route {
	found, _ := k.root.find(path)
	var rows []Route
	for _, e := range found {
		if e.route.Method == method {
			rows = append(rows, *e.route)
		}
	}
	return rows
}

func (n *node) walk(path []string, raw *[]string) []*endpoint {
	if len(path) == 0 {
		return n.ends
	}
	next, literal := n.literal[path[0]]
	if literal {
		found := next.walk(path[1:], raw)
		if found != nil {
			return found
		}
	}
	mark := len(*raw)
	if n.param != nil && path[0] != "" {
		*raw = append(*raw, path[0])
		found := n.param.walk(path[1:], raw)
		if found != nil {
			return found
		}
		*raw = (*raw)[:mark]
	}
	if n.rest != nil {
		*raw = append(*raw, strings.Join(path, "/"))
		return n.rest
	}
	return nil
}
