package api

import (
	"nacre/internal/api"
	"nacre/internal/errs"
)

// clusters are groups of services that keep the same volumes. There are none here:
// each host keeps its own, and what servers share needs no such name. Unfinished
// work is gone on with by whichever server is there, so nothing waits for a cleanup.
func (h handlers) clusters() []api.Route {
	since := api.V(3, 7)
	return []api.Route{
		{Method: "PUT", Path: "/clusters/disable", Rule: "clusters:update", Since: since, Do: api.Body(h.changeCluster)},
		{Method: "PUT", Path: "/clusters/enable", Rule: "clusters:update", Since: since, Do: api.Body(h.changeCluster)},
		{Method: "GET", Path: "/clusters/{cluster_name}", Rule: "clusters:get", Since: since, Do: api.Get(h.showCluster)},
		{Method: "GET", Path: "/clusters", Rule: "clusters:get_all", Since: since, Do: api.Get(h.listClusters)},
		{Method: "GET", Path: "/clusters/detail", Rule: "clusters:get_all", Since: since, Do: api.Get(h.listClusters)},
		{Method: "POST", Path: "/workers/cleanup", Rule: "workers:cleanup", Since: api.V(3, 24), OK: 202, Do: api.Body(h.cleanup)},
	}
}

type clustersReply struct {
	Clusters []named `json:"clusters"`
}

type clusterReply struct {
	Cluster named `json:"cluster"`
}

func (h handlers) listClusters(c *api.Call) (clustersReply, error) {
	return clustersReply{}, c.AuthorizeOwn()
}

func (h handlers) noCluster(c *api.Call, name string) (clusterReply, error) {
	err := c.AuthorizeOwn()
	if err == nil {
		err = errs.NotFoundf("Cluster %s could not be found.", name)
	}
	return clusterReply{}, err
}

func (h handlers) showCluster(c *api.Call) (clusterReply, error) {
	return h.noCluster(c, c.PathValue("cluster_name"))
}

func (h handlers) changeCluster(c *api.Call, in struct {
	Name   string  `json:"name" check:"required,min=1,max=255"`
	Binary *string `json:"binary" check:"max=255"`
	Reason *string `json:"disabled_reason" check:"max=255"`
}) (clusterReply, error) {
	return h.noCluster(c, in.Name)
}

type cleanupRequest struct {
	Cluster      *string    `json:"cluster_name" check:"min=1,max=255"`
	ServiceID    *api.Int   `json:"service_id"`
	Host         *string    `json:"host" check:"min=1,max=255"`
	Binary       *string    `json:"binary" check:"enum=cinder-volume|cinder-scheduler"`
	Up           *api.Bool  `json:"is_up"`
	Disabled     *api.Bool  `json:"disabled"`
	ResourceID   optionalID `json:"resource_id"`
	ResourceType *string    `json:"resource_type" check:"max=40"`
}

type cleanupReply struct {
	Cleaning    []named `json:"cleaning"`
	Unavailable []named `json:"unavailable"`
}

func (h handlers) cleanup(c *api.Call, _ cleanupRequest) (cleanupReply, error) {
	return cleanupReply{}, c.AuthorizeOwn()
}
