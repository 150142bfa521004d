// keda-client asks scalers as KEDA's external scaler does: one connection pool for all, balanced round robin over every address,
// no deadline, no retry of its own, TLS from the texts of a TriggerAuthentication.
//
// It calls at a fixed rate until stdin closes, and opens a push stream that it opens again whenever it ends. Its first line says
// that every address is connected; its last is a JSON object of what came back, by method and code.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

const service = "externalscaler.ExternalScaler"

var (
	addresses   = flag.String("addresses", "", "host:port,...: what the name of the scaler resolves to")
	serverName  = flag.String("server-name", "", "the host in scalerAddress")
	descriptors = flag.String("descriptors", "", "the contract as a FileDescriptorSet")
	object      = flag.String("scaled-object", "", "the ScaledObjectRef as JSON")
	caCert      = flag.String("ca", "", "file: caCert of the TriggerAuthentication; plaintext without it")
	clientCert  = flag.String("cert", "", "file: tlsClientCert")
	clientKey   = flag.String("key", "", "file: tlsClientKey")
	rate        = flag.Int("rate", 1000, "calls a second")
)

// tally counts outcomes by method and code, and which server answered.
type tally struct {
	sync.Mutex
	Calls   map[string]map[string]int `json:"calls"`
	Servers map[string]int            `json:"servers"`
	Errors  []string                  `json:"errors"`
	Slowest float64                   `json:"slowestMs"`
}

func (t *tally) add(method string, err error, server *peer.Peer, took time.Duration) {
	t.Lock()
	defer t.Unlock()
	if t.Calls[method] == nil {
		t.Calls[method] = map[string]int{}
	}
	t.Calls[method][status.Code(err).String()]++
	t.Slowest = max(t.Slowest, float64(took.Microseconds())/1000)
	if err != nil && len(t.Errors) < 20 {
		t.Errors = append(t.Errors, method+": "+err.Error())
	}
	if server != nil && server.Addr != nil {
		t.Servers[server.Addr.String()]++
	}
}

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "keda-client:", err)
		os.Exit(1)
	}
}

func run() error {
	methods, err := contract()
	if err != nil {
		return err
	}
	connection, err := connect()
	if err != nil {
		return err
	}
	defer connection.Close()
	request := func(method string) (proto.Message, error) {
		input := methods.ByName(protoreflect.Name(method)).Input()
		text := *object
		if input.Name() == "GetMetricsRequest" {
			text = `{"metricName": "kafka-orders", "scaledObjectRef": ` + text + `}`
		}
		message := dynamicpb.NewMessage(input)
		return message, protojson.Unmarshal([]byte(text), message)
	}
	results := &tally{Calls: map[string]map[string]int{}, Servers: map[string]int{}, Errors: []string{}}
	call := func(ctx context.Context, method string) error {
		message, err := request(method)
		if err != nil {
			return err
		}
		var server peer.Peer
		answer := dynamicpb.NewMessage(methods.ByName(protoreflect.Name(method)).Output())
		begun := time.Now()
		err = connection.Invoke(ctx, "/"+service+"/"+method, message, answer, grpc.Peer(&server))
		results.add(method, err, &server, time.Since(begun))
		return err
	}
	if err := reachAll(call, results); err != nil {
		return err
	}
	fmt.Println("connected")

	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	var running sync.WaitGroup
	running.Go(func() { push(ctx, connection, methods, request, results) })
	for due, next := time.Now(), 0; ctx.Err() == nil; next++ {
		// KEDA's order of calls; none waits for another
		method := []string{"GetMetricSpec", "GetMetrics", "IsActive"}[next%3]
		running.Go(func() { _ = call(context.Background(), method) })
		due = due.Add(time.Second / time.Duration(*rate))
		time.Sleep(time.Until(due))
	}
	running.Wait()
	return json.NewEncoder(os.Stdout).Encode(results)
}

// reachAll calls until every address has answered, and forgets what those calls came to.
func reachAll(call func(context.Context, string) error, results *tally) error {
	deadline := time.Now().Add(20 * time.Second)
	for len(results.Servers) < len(strings.Split(*addresses, ",")) {
		if err := call(context.Background(), "GetMetricSpec"); err != nil && time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	results.Calls, results.Errors, results.Slowest = map[string]map[string]int{}, []string{}, 0
	return nil
}

// push keeps a stream open as KEDA does for triggers of type external-push: a clean end is no error, and it is opened again.
func push(ctx context.Context, connection *grpc.ClientConn, methods protoreflect.MethodDescriptors,
	request func(string) (proto.Message, error), results *tally) {
	const method = "StreamIsActive"
	for ctx.Err() == nil {
		err := func() error {
			message, err := request(method)
			if err != nil {
				return err
			}
			stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/"+service+"/"+method)
			if err != nil {
				return err
			}
			if err := stream.SendMsg(message); err != nil {
				return err
			}
			if err := stream.CloseSend(); err != nil {
				return err
			}
			for {
				if err := stream.RecvMsg(dynamicpb.NewMessage(methods.ByName(method).Output())); err != nil {
					return err
				}
			}
		}()
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		results.add(method, err, nil, 0)
		time.Sleep(200 * time.Millisecond)
	}
}

func contract() (protoreflect.MethodDescriptors, error) {
	bytes, err := os.ReadFile(*descriptors)
	if err != nil {
		return nil, err
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(bytes, set); err != nil {
		return nil, err
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, err
	}
	found, err := files.FindDescriptorByName(service)
	if err != nil {
		return nil, err
	}
	return found.(protoreflect.ServiceDescriptor).Methods(), nil
}

// connect makes the client that KEDA keeps in its pool. Only the resolver is not DNS: the addresses are ports of one machine.
func connect() (*grpc.ClientConn, error) {
	state := resolver.State{}
	for _, address := range strings.Split(*addresses, ",") {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: address})
	}
	name := manual.NewBuilderWithScheme("replicas")
	name.InitialState(state)
	transport, err := transportCredentials()
	if err != nil {
		return nil, err
	}
	return grpc.NewClient("replicas:///"+*serverName,
		grpc.WithResolvers(name),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin":{}}]}`),
		grpc.WithTransportCredentials(transport))
}

func transportCredentials() (credentials.TransportCredentials, error) {
	if *caCert == "" {
		return insecure.NewCredentials(), nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	ca, err := os.ReadFile(*caCert)
	if err != nil {
		return nil, err
	}
	if !config.RootCAs.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate", *caCert)
	}
	if *clientCert != "" {
		pair, err := tls.LoadX509KeyPair(*clientCert, *clientKey)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config), nil
}
