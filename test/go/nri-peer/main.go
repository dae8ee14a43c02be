// nri-peer speaks NRI with Go's ttrpc and NRI's own multiplexer, without the rest of NRI.
//
// nri-peer plugin SOCKET dials a runtime and prints its responses; nri-peer runtime SOCKET listens for one plugin and
// prints the responses of that. Both print one JSON object and end when the other end closes the connection.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/net/multiplex"
	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const updates = 200

// The calls under way at a time; crid serves 64.
const atATime = 32

func main() {
	role, socket := os.Args[1], os.Args[2]
	conn, err := connect(role, socket)
	check(err)
	// The multiplexer drops a message for a connection that is not open.
	mux := multiplex.Multiplex(conn, multiplex.WithBlockedRead())
	own, other := multiplex.PluginServiceConn, multiplex.RuntimeServiceConn
	if role == "runtime" {
		own, other = other, own
	}
	server, err := ttrpc.NewServer()
	check(err)
	if role == "runtime" {
		api.RegisterRuntimeService(server, runtime{})
	} else {
		api.RegisterPluginService(server, plugin{})
	}
	listener, err := mux.Listen(own)
	check(err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(context.Background(), listener) }()
	peer, err := mux.Open(other)
	check(err)
	mux.Unblock()
	closed := make(chan struct{})
	client := ttrpc.NewClient(peer, ttrpc.WithOnClose(func() { close(closed) }))
	var results map[string]any
	if role == "runtime" {
		results = callPlugin(api.NewPluginClient(client))
	} else {
		results = callRuntime(api.NewRuntimeClient(client))
	}
	check(json.NewEncoder(os.Stdout).Encode(results))
	<-closed
}

func connect(role, socket string) (net.Conn, error) {
	if role != "runtime" {
		return net.Dial("unix", socket)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(os.Stderr, "listening")
	return listener.Accept()
}

func callRuntime(runtime api.RuntimeService) map[string]any {
	ctx := context.Background()
	results := map[string]any{}
	_, err := runtime.RegisterPlugin(ctx, &api.RegisterPluginRequest{PluginName: "peer", PluginIdx: "10", NRIVersion: "v0.12.5"})
	results["register"] = text(err)
	failed := make(chan int, updates)
	turns := make(chan struct{}, atATime)
	for i := range updates {
		turns <- struct{}{}
		go func() {
			defer func() { <-turns }()
			update := &api.ContainerUpdate{ContainerId: fmt.Sprint(i, strings.Repeat("x", 50_000))}
			answer, err := runtime.UpdateContainers(ctx, &api.UpdateContainersRequest{Update: []*api.ContainerUpdate{update}})
			if err == nil && len(answer.Failed) == 1 && answer.Failed[0].ContainerId == update.ContainerId {
				failed <- 1
			} else {
				failed <- 0
			}
		}()
	}
	sum := 0
	for range updates {
		sum += <-failed
	}
	results["updates"] = sum
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	_, err = runtime.UpdateContainers(short, &api.UpdateContainersRequest{Update: []*api.ContainerUpdate{{ContainerId: "hang"}}})
	results["hang"] = text(err)
	_, err = runtime.UpdateContainers(ctx, &api.UpdateContainersRequest{Update: []*api.ContainerUpdate{{ContainerId: "refused"}}})
	results["refused"] = text(err)
	return results
}

func callPlugin(plugin api.PluginService) map[string]any {
	ctx := context.Background()
	results := map[string]any{}
	configured, err := plugin.Configure(ctx, &api.ConfigureRequest{RuntimeName: "peer", RequestTimeout: 2000})
	results["configure"] = fmt.Sprint(configured.GetEvents(), " ", text(err))
	// Larger than the buffers of all layers, and just within the limit of a message.
	pod := &api.PodSandbox{Id: "pod", Annotations: map[string]string{"large": strings.Repeat("x", 4<<20-100)}}
	synced, err := plugin.Synchronize(ctx, &api.SynchronizeRequest{Pods: []*api.PodSandbox{pod}, More: true})
	results["synchronize"] = fmt.Sprint(synced.GetMore(), " ", text(err))
	created, err := plugin.CreateContainer(ctx, &api.CreateContainerRequest{Container: &api.Container{Id: "large"}})
	results["create"] = fmt.Sprint(len(created.GetAdjust().GetAnnotations()["large"]), " ", text(err))
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	_, err = plugin.StopContainer(short, &api.StopContainerRequest{})
	results["hang"] = text(err)
	_, err = plugin.RemoveContainer(ctx, &api.RemoveContainerRequest{})
	results["refused"] = text(err)
	return results
}

func text(err error) string {
	if err == nil {
		return "ok"
	}
	// Both ends know the deadline, and either may be the first to notice it.
	if errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded {
		return "DeadlineExceeded"
	}
	return fmt.Sprint(status.Code(err), ": ", status.Convert(err).Message())
}

type runtime struct{}

func (runtime) RegisterPlugin(context.Context, *api.RegisterPluginRequest) (*api.Empty, error) {
	return &api.Empty{}, nil
}

func (runtime) UpdateContainers(_ context.Context, request *api.UpdateContainersRequest) (*api.UpdateContainersResponse, error) {
	return &api.UpdateContainersResponse{Failed: request.Update}, nil
}

// plugin leaves the methods of PluginService that it does not use unimplemented.
type plugin struct{ api.PluginService }

func (plugin) Configure(_ context.Context, request *api.ConfigureRequest) (*api.ConfigureResponse, error) {
	return &api.ConfigureResponse{Events: 3, FailurePolicy: &api.FailurePolicy{FailRequest: request.Config == "fail"}}, nil
}

func (plugin) Synchronize(_ context.Context, request *api.SynchronizeRequest) (*api.SynchronizeResponse, error) {
	response := &api.SynchronizeResponse{More: request.More}
	for _, container := range request.Containers {
		response.Update = append(response.Update, &api.ContainerUpdate{ContainerId: container.Id})
	}
	return response, nil
}

func (plugin) CreateContainer(ctx context.Context, request *api.CreateContainerRequest) (*api.CreateContainerResponse, error) {
	switch request.Container.Id {
	case "hang":
		<-ctx.Done()
		return nil, ctx.Err()
	case "refused":
		return nil, status.Error(codes.FailedPrecondition, "not today")
	}
	adjust := &api.ContainerAdjustment{}
	adjust.AddAnnotation("large", strings.Repeat("x", 3<<20))
	return &api.CreateContainerResponse{Adjust: adjust}, nil
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
