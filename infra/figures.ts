/**
 * What is watched in a stage, each figure once: its panel on the dashboard and, where somebody has to
 * be told, its limit and the words of the mail. Alarms and dashboard are both made from it.
 */
import type { Figure } from "./figure.ts";
import { apiFigures, functionFigures, missedRunFigures } from "./figures-aws.ts";
import { databaseFigures } from "./figures-database.ts";
import { kafkaFigures } from "./figures-kafka.ts";
import { mappingFigures, ownFigures } from "./figures-own.ts";
import type { Parts } from "./parts.ts";

export const figuresOf = (parts: Parts): readonly Figure[] => [
  ...ownFigures(parts),
  ...mappingFigures(parts),
  ...missedRunFigures(parts),
  ...functionFigures(parts),
  ...apiFigures(parts),
  ...databaseFigures(parts),
  ...kafkaFigures(parts),
];
