import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/**
 * Flink as a peer: events of a file, the first of each id, into an Iceberg table; one process, two slots, state and commit
 * interval as given. Prints the CPU and wall seconds of the job as JSON; the start of the JVM is what the caller measures on top.
 *
 * <p>Bronze INPUT WAREHOUSE CHECKPOINTS BACKEND INTERVAL_SECONDS
 */
public final class Bronze {
  private static final String COLUMNS =
      "event_id STRING, event_name STRING, event_timestamp TIMESTAMP_LTZ(%d), schema_version STRING, trip_id STRING,"
          + " rider_id STRING, pickup_location_id INT, surge_amount DOUBLE, driver_id STRING, dropoff_location_id INT,"
          + " trip_distance DOUBLE, fare_amount DOUBLE, tip_amount DOUBLE, total_amount DOUBLE, payment_type INT";
  private static final String NAMES =
      "event_id, event_name, event_timestamp, schema_version, trip_id, rider_id, pickup_location_id, surge_amount, driver_id,"
          + " dropoff_location_id, trip_distance, fare_amount, tip_amount, total_amount, payment_type";

  public static void main(String[] args) throws Exception {
    var system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    long cpu = system.getProcessCpuTime(), wall = System.nanoTime();
    var conf = new Configuration();
    conf.setString("parallelism.default", "2");
    conf.setString("pipeline.object-reuse", "true");
    conf.setString("table.local-time-zone", "UTC");
    conf.setString("state.backend.type", args[3]);
    conf.setString("execution.checkpointing.interval", args[4] + " s");
    conf.setString("execution.checkpointing.incremental", "true");
    conf.setString("execution.checkpointing.dir", "file://" + args[2]);
    conf.setString("taskmanager.memory.managed.size", "1g");
    conf.setString("taskmanager.memory.network.min", "128m");
    conf.setString("taskmanager.memory.network.max", "128m");
    var env = TableEnvironment.create(EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(conf).build());
    env.executeSql(
        "CREATE TABLE events (" + String.format(COLUMNS, 3) + ", arrived AS PROCTIME()) WITH ('connector' = 'filesystem',"
            + " 'path' = 'file://" + args[0] + "', 'format' = 'json', 'json.ignore-parse-errors' = 'true',"
            + " 'json.timestamp-format.standard' = 'ISO-8601')");
    env.executeSql("CREATE CATALOG lake WITH ('type' = 'iceberg', 'catalog-type' = 'hadoop', 'warehouse' = 'file://" + args[1] + "')");
    env.executeSql("CREATE DATABASE lake.bronze");
    env.executeSql(
        "CREATE TABLE lake.bronze.ride_events (" + String.format(COLUMNS, 6) + ") WITH ('format-version' = '2',"
            + " 'write.parquet.compression-codec' = 'zstd', 'write.parquet.compression-level' = '1', 'write.distribution-mode' = 'none')");
    env.executeSql(
            "INSERT INTO lake.bronze.ride_events SELECT " + NAMES + " FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY arrived)"
                + " AS n FROM events WHERE event_id IS NOT NULL AND event_timestamp IS NOT NULL AND schema_version IS NOT NULL AND trip_id IS NOT NULL"
                + " AND event_name IN ('trip_requested', 'driver_assigned', 'driver_arrived', 'trip_started', 'trip_completed',"
                + " 'payment_processed')) WHERE n = 1")
        .await();
    System.out.printf(
        "{\"cpu_s\": %.3f, \"wall_s\": %.3f}%n", (system.getProcessCpuTime() - cpu) / 1e9, (System.nanoTime() - wall) / 1e9);
    System.exit(0);  // the mini cluster's threads are not daemons
  }
}
