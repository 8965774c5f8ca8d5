/// <reference path="./.sst/platform/config.d.ts" />

export default $config({
  async app({ stage }) {
    const { isProduction, stageRegion } = await import("./infra/stage.ts");
    const production = isProduction(stage);
    return {
      name: "headrace",
      home: "aws",
      removal: production ? "retain" : "remove",
      protect: production,
      providers: { aws: { region: stageRegion(stage) }, random: "4.16.6" },
    };
  },

  // SST allows no imports at the top of this file, so the parts are loaded here.
  async run() {
    const { resolveStage } = await import("./infra/stage.ts");
    const { createApp } = await import("./infra/app.ts");
    return createApp(resolveStage($app.stage, { dev: $dev }));
  },
});
