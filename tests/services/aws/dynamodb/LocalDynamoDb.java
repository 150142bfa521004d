import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.eclipse.jetty.server.Connector;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import software.amazon.dynamodb.services.local.server.DynamoDBProxyServer;
import software.amazon.dynamodb.services.local.server.LocalDynamoDBRequestHandler;
import software.amazon.dynamodb.services.local.server.LocalDynamoDBServerHandler;
import software.amazon.dynamodb.services.local.shared.access.AmazonDynamoDBLocal;

/**
 * {@code LocalDynamoDb PORT CONTROL_PORT}: DynamoDB and DynamoDB Streams in memory; prints "ready".
 *
 * <p>The main class that comes with DynamoDB Local listens on every interface, and its stream shards roll over once in four
 * hours. Here both ports are on 127.0.0.1 only, and the control port makes happen at once what tests cannot wait for:
 *
 * <ul>
 *   <li>{@code POST /rollover} closes the open shard of every stream and opens a child of it,
 *   <li>{@code POST /dilate?ms=N} makes all that the streams hold N milliseconds older.
 * </ul>
 */
public final class LocalDynamoDb {
  private static final String LOOPBACK = "127.0.0.1";

  public static void main(String[] args) throws Exception {
    // no port of its own, in memory, no file, one database for all keys and regions, no artificial delays of table states
    var requests = new LocalDynamoDBRequestHandler(0, true, null, true, false);
    var proxy = new DynamoDBProxyServer(Integer.parseInt(args[0]), new LocalDynamoDBServerHandler(requests, null));
    for (Connector connector : hidden(proxy, "server", Server.class).getConnectors()) {
      ((ServerConnector) connector).setHost(LOOPBACK);
    }
    proxy.start();

    var control = HttpServer.create(new InetSocketAddress(LOOPBACK, Integer.parseInt(args[1])), 0);
    control.createContext("/", exchange -> answer(exchange, requests));
    control.start();
    System.out.println("ready");
    proxy.join();
  }

  private static void answer(HttpExchange exchange, LocalDynamoDBRequestHandler requests) throws IOException {
    int status = 200;
    String text = "ok";
    try {
      var uri = exchange.getRequestURI();
      // empty until the first request to DynamoDB
      for (Object value : hidden(requests, "dbRequestHandlers", Map.class).values()) {
        var database = (AmazonDynamoDBLocal) value;
        switch (uri.getPath()) {
          case "/rollover" -> database.triggerShardRollovers();
          case "/dilate" -> database.dilateEventTimes(Long.parseLong(uri.getQuery().replaceFirst("^ms=", "")));
          default -> throw new IllegalArgumentException("unknown path " + uri.getPath());
        }
      }
    } catch (Exception e) {
      status = 500;
      text = e.toString();
    }
    byte[] body = (text + "\n").getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(status, body.length);
    exchange.getResponseBody().write(body);
    exchange.close();
  }

  /** The value of a private field: neither the address nor the database can be reached another way. */
  private static <T> T hidden(Object owner, String name, Class<T> type) throws ReflectiveOperationException {
    var field = owner.getClass().getDeclaredField(name);
    field.setAccessible(true);
    return type.cast(field.get(owner));
  }
}
