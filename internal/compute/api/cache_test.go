package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// The hosts of an aggregate fetch images ahead, one after the other. What a host
// cannot get, and what one that is down does not get, is told.
func TestImagesAreFetchedAhead(t *testing.T) {
	c := start(t, options{hosts: 2})
	c.hosts.OnQuery(nodeapi.QueryImage, func(_ context.Context, _ string, payload json.RawMessage) (any, error) {
		var q nodeapi.ImageQuery
		err := json.Unmarshal(payload, &q)
		if err == nil && q.Image != imageID {
			err = errs.NotFoundf("Image %s could not be found.", q.Image)
		}
		return nodeapi.ImageReply{}, err
	})
	made := c.must(200, "admin@2.90", "POST", "/os-aggregates", `{"aggregate":{"name":"fast"}}`)
	id, uuid := made.at(t, "aggregate", "id"), made.at(t, "aggregate", "uuid").(string)
	path := fmt.Sprintf("/os-aggregates/%v/images", id)
	cache := func(status int, who, images string) {
		t.Helper()
		c.must(status, who, "POST", path, `{"cache":[`+images+`]}`)
	}
	one, other := `{"id":"`+imageID+`"}`, `{"id":"`+quietImageID+`"}`
	cache(404, "admin@2.80", one)
	cache(403, "demo@2.81", one)
	cache(400, "admin@2.81", ``)
	cache(400, "admin@2.81", `{"id":"cirros"}`)
	cache(400, "admin@2.81", `{"id":"`+imageID+`","name":"x"}`)
	cache(400, "admin@2.81", one+","+one)
	c.must(404, "admin@2.81", "POST", "/os-aggregates/99/images", `{"cache":[`+one+`]}`)

	heard := c.listen(t)
	cache(202, "admin@2.81", one)
	wantTold(t, until(c, heard, "aggregate.cache_images.end"), uuid, []string{"aggregate.cache_images.start", "aggregate.cache_images.end"}, nil)
	for _, host := range []string{"node-1", "node-2"} {
		c.must(200, "admin", "POST", fmt.Sprintf("/os-aggregates/%v/action", id), `{"add_host":{"host":"`+host+`"}}`)
	}
	c.lose("node-2", true)
	until(c, heard, "service.update")
	cache(202, "admin@2.81", other+","+one)
	got := until(c, heard, "aggregate.cache_images.end")
	progress := "aggregate.cache_images.progress"
	wantTold(t, got, uuid, []string{"aggregate.cache_images.start", progress, progress, "aggregate.cache_images.end"}, nil)
	got[0].wantFields(t, map[string]any{"id": id, "uuid": uuid, "name": "fast", "hosts": []any{"node-1", "node-2"}})
	got[1].wantFields(t, map[string]any{"host": "node-1", "images_cached": []any{imageID}, "images_failed": []any{quietImageID}, "index": 1, "total": 2})
	got[2].wantFields(t, map[string]any{"host": "node-2", "images_cached": []any{}, "images_failed": []any{quietImageID, imageID}, "index": 2, "total": 2})
}
